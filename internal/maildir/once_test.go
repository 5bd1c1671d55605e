package maildir_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"pmilter/internal/maildir"
)

func TestDeliverOnce(t *testing.T) {
	t.Parallel()
	m, err := maildir.Open(filepath.Join(t.TempDir(), "m"))
	if err != nil {
		t.Fatal(err)
	}
	once := func(name, text, wantFile string, wantNew bool) {
		t.Helper()
		file, isNew, err := m.DeliverOnce(name, func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
		if err != nil || file != filepath.Join(m.Path(), wantFile) || isNew != wantNew {
			t.Errorf("%s: %s %v %v", name, file, isNew, err)
		}
	}
	once("a.b", "one", "new/a.b", true)
	once("a.b", "two", "new/a.b", false)
	if text, err := os.ReadFile(filepath.Join(m.Path(), "new/a.b")); err != nil || string(text) != "one" {
		t.Errorf("%q %v", text, err)
	}
	if err := os.Rename(filepath.Join(m.Path(), "new/a.b"), filepath.Join(m.Path(), "cur/a.b:2,S")); err != nil {
		t.Fatal(err)
	}
	once("a.b", "three", "cur/a.b:2,S", false) // a reader has seen it
	once("a", "four", "new/a", true)
	for _, name := range []string{"", ".", "..", ".a", "a/b", "a:b", "a\x00", "a\nb"} {
		if _, _, err := m.DeliverOnce(name, func(io.Writer) error { return nil }); err == nil {
			t.Errorf("%q was a name", name)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(m.Path(), "tmp/*")); len(left) > 0 {
		t.Errorf("left in tmp: %q", left)
	}
}
