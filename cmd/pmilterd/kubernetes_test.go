package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// manifest is what these tests look at of docs/kubernetes.yaml, over all its kinds.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string // of a ConfigMap
	Spec     struct {
		Template struct {
			Spec struct {
				InitContainers []container `yaml:"initContainers"`
				Containers     []container
				Volumes        []struct {
					Name      string
					ConfigMap struct{ Name string } `yaml:"configMap"`
				}
			} `yaml:"spec"`
		}
		VolumeClaimTemplates []struct{ Metadata struct{ Name string } } `yaml:"volumeClaimTemplates"`
	}
}

type container struct {
	Name, Image  string
	Env          []struct{ Name string }
	VolumeMounts []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
		SubPath   string `yaml:"subPath"`
	} `yaml:"volumeMounts"`
}

// TestKubernetesScripts: what the ConfigMap of docs/kubernetes.yaml holds, laid out as
// the kubelet does it (FOLDER/a.js -> ..data/a.js, ..data -> ..TIME), loads without a
// fault or a warning. That a swap of ..data is a reload has a test in script.
func TestKubernetesScripts(t *testing.T) {
	t.Parallel()
	all := readManifests(t)
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(dir, "..2026_11_26"), 0o755))
	must(os.Symlink("..2026_11_26", filepath.Join(dir, "..data")))
	for name, text := range find(t, all, "ConfigMap").Data {
		must(os.WriteFile(filepath.Join(dir, "..2026_11_26", name), []byte(text), 0o644))
		must(os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
	}

	env := func(name string) (string, bool) { return "mail-0", name == "POD_NAME" }
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), []string{"check", "-c", filepath.Join(dir, "pmilter.toml")}, strings.NewReader(""), &stdout, &stderr, env)
	if status != exitDone || stderr.Len() > 0 {
		t.Fatalf("check: status %d: %s", status, &stderr)
	}
	for _, want := range []string{"20-refuse.js: rcpt\n", "90-stamp.js: eom (without body)\n"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("check does not say %q: %s", want, &stdout)
		}
	}
}

// TestKubernetesPod: names that one part of the manifest uses are those of another, the
// configuration is where pmilterd looks for it, and comes as a folder.
func TestKubernetesPod(t *testing.T) {
	t.Parallel()
	all := readManifests(t)
	pod := find(t, all, "StatefulSet")
	var volumes []string
	for _, v := range pod.Spec.Template.Spec.Volumes {
		volumes = append(volumes, v.Name)
		if v.Name == "pmilter" && v.ConfigMap.Name != find(t, all, "ConfigMap").Metadata.Name {
			t.Errorf("volume %s is of ConfigMap %q", v.Name, v.ConfigMap.Name)
		}
	}
	for _, v := range pod.Spec.VolumeClaimTemplates {
		volumes = append(volumes, v.Metadata.Name)
	}
	mounted := map[string]string{}
	for _, c := range slices.Concat(pod.Spec.Template.Spec.InitContainers, pod.Spec.Template.Spec.Containers) {
		if _, tag, ok := strings.Cut(c.Image, ":"); !ok || tag == "latest" {
			t.Errorf("%s: image %s has no version", c.Name, c.Image)
		}
		for _, m := range c.VolumeMounts {
			mounted[m.MountPath] = m.Name
			if !slices.Contains(volumes, m.Name) || m.SubPath != "" {
				t.Errorf("%s: mounts %s, %q", c.Name, m.Name, m.SubPath)
			}
		}
	}
	for _, path := range []string{"/run/pmilter", "/tmp", "/var/lib/pmilter"} {
		if mounted[path] == "" {
			t.Errorf("%s cannot be written to", path)
		}
	}
	if mounted["/etc/pmilter"] != "pmilter" {
		t.Error("the ConfigMap is not in /etc/pmilter")
	}
}

func readManifests(t *testing.T) (all []manifest) {
	t.Helper()
	text, err := os.ReadFile("../../docs/kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for documents := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var m manifest
		if err := documents.Decode(&m); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
}

func find(t *testing.T, all []manifest, kind string) manifest {
	t.Helper()
	i := slices.IndexFunc(all, func(m manifest) bool { return m.Kind == kind })
	if i < 0 {
		t.Fatalf("no %s", kind)
	}
	return all[i]
}
