package packaging_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestArchiveIsReproducible makes an archive twice, in another folder each time: it is the
// same to the byte, and has what it should.
func TestArchiveIsReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the server")
	}
	var archives [2][]byte
	for i := range archives {
		dir := t.TempDir()
		output(t, exec.CommandContext(t.Context(), "make", "-C", "..", "tmp/bin/dist/.tools", "--no-print-directory"))
		cmd := exec.CommandContext(t.Context(), "./dist", dir, "tar", "amd64")
		cmd.Env = append(os.Environ(), "VERSION=v1.2.3", "SOURCE_DATE_EPOCH=1767225600")
		output(t, cmd)
		data, err := os.ReadFile(filepath.Join(dir, "pmilterd-v1.2.3-linux-amd64.tar.gz"))
		if err != nil {
			t.Fatal(err)
		}
		archives[i] = data
		cmd = exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "sha256sums")
		cmd.Dir = dir
		output(t, cmd)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of the same source differ")
	}
	checkArchive(t, archives[0])
}

func checkArchive(t *testing.T, data []byte) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.Unix() != 1767225600 || h.Uid != 0 || h.Mode&0o022 != 0 {
			t.Errorf("%s is of %v, user %d, mode %o", h.Name, h.ModTime, h.Uid, h.Mode)
		}
		name := strings.TrimPrefix(h.Name, "pmilterd-v1.2.3-linux-amd64/")
		if files[name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{
		"pmilterd", "README.md", "copyright", "docs/scripts.md", "man/pmilterd.1", "man/pmilter.toml.5", "completions/pmilterd.bash",
		"share/filters/greylist.js", "share/jobs/archive.js", "share/prometheus/pmilterd.rules.yml",
		"share/grafana/pmilterd.json", "lib/systemd/system/pmilterd.service", "etc/pmilter.toml", "etc/scripts/90-stamp.js",
	} {
		if len(files[name]) == 0 {
			t.Errorf("the archive lacks %s", name)
		}
	}
	if !bytes.Contains(files["copyright"], []byte("---- github.com/dop251/goja@")) {
		t.Error("the licences lack goja's")
	}
	checkBOM(t, files["pmilterd.cdx.json"])
}

// TestOtherArchitecture: what is made for arm64, wherever that is, is for arm64.
func TestOtherArchitecture(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the server twice")
	}
	dir := t.TempDir()
	output(t, exec.CommandContext(t.Context(), "make", "-C", "..", "tmp/bin/dist/.tools", "--no-print-directory"))
	cmd := exec.CommandContext(t.Context(), "./dist", dir, "arm64")
	cmd.Env = append(os.Environ(), "VERSION=v1.2.3", "SOURCE_DATE_EPOCH=1767225600")
	output(t, cmd)

	output(t, exec.CommandContext(t.Context(), "tar", "-C", dir, "-xzf", filepath.Join(dir, "pmilterd-v1.2.3-linux-arm64.tar.gz")))
	checkStaticARM64(t, filepath.Join(dir, "pmilterd-v1.2.3-linux-arm64", "pmilterd"))
	bom, err := os.ReadFile(filepath.Join(dir, "pmilterd-v1.2.3-linux-arm64.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	checkBOM(t, bom)
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		leaveOut(t, "no dpkg-deb")
	}
	deb := filepath.Join(dir, "pmilterd_1.2.3_arm64.deb")
	if got := output(t, exec.CommandContext(t.Context(), "dpkg-deb", "--field", deb, "Architecture")); got != "arm64\n" {
		t.Errorf("the package is for %q", got)
	}
	output(t, exec.CommandContext(t.Context(), "dpkg-deb", "--extract", deb, filepath.Join(dir, "root")))
	checkStaticARM64(t, filepath.Join(dir, "root/usr/bin/pmilterd"))
}

func checkStaticARM64(t *testing.T, binary string) {
	t.Helper()
	f, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != elf.EM_AARCH64 {
		t.Errorf("%s is for %v", binary, f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Errorf("%s is not static", binary)
		}
	}
}

// checkBOM: the list of what the binary is made of has what we know to be in it.
func checkBOM(t *testing.T, data []byte) {
	t.Helper()
	var bom struct {
		BOMFormat string
		Metadata  struct {
			Component struct{ Name, Version string }
		}
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(data, &bom); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, c := range bom.Components {
		found[c.Name] = c.PURL
	}
	if bom.BOMFormat != "CycloneDX" || bom.Metadata.Component.Name != "pmilter" || bom.Metadata.Component.Version != "v1.2.3" {
		t.Errorf("the SBOM is of %+v", bom.Metadata.Component)
	}
	for _, name := range []string{"github.com/dop251/goja", "github.com/spf13/cobra", "std"} {
		if !strings.HasPrefix(found[name], "pkg:golang/"+name+"@") {
			t.Errorf("the SBOM lacks %s: %q", name, found[name])
		}
	}
}
