package packaging_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
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
