package maildir

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func open(t *testing.T) *Maildir {
	t.Helper()
	m, err := Open(filepath.Join(t.TempDir(), "a", "b", "Maildir"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func hello(w io.Writer) error { _, err := io.WriteString(w, "A: 1\n\nhello\n"); return err }

func TestDeliver(t *testing.T) {
	t.Parallel()
	m := open(t)
	file, err := m.Deliver(hello)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "A: 1\n\nhello\n" {
		t.Errorf("%q %v", data, err)
	}
	if filepath.Dir(file) != filepath.Join(m.Path(), "new") || strings.Contains(filepath.Base(file), ":") {
		t.Errorf("file %s", file)
	}
	if left := entries(t, filepath.Join(m.Path(), "tmp")); len(left) != 0 {
		t.Errorf("left in tmp: %q", left)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if _, err := Open(m.Path()); err != nil {
		t.Errorf("open again: %v", err)
	}
}

func TestDeliverMany(t *testing.T) {
	t.Parallel()
	m := open(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := m.Deliver(hello); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(entries(t, filepath.Join(m.Path(), "new"))); n != 50 {
		t.Errorf("%d files of 50", n)
	}
}

// TestFailuresLeaveNothing: each step fails in turn; no message is left, and the caller hears of it.
func TestFailuresLeaveNothing(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"write", "sync file", "rename", "sync folder"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			m := open(t)
			boom := errors.New("boom")
			write := hello
			syncs := 0
			m.fsync = func(*os.File) error {
				if syncs++; (step == "sync file" && syncs == 1) || (step == "sync folder" && syncs == 2) {
					return boom
				}
				return nil
			}
			switch step {
			case "write":
				write = func(w io.Writer) error { hello(w); return boom }
			case "rename":
				if err := os.Remove(filepath.Join(m.Path(), "new")); err != nil {
					t.Fatal(err)
				}
			}
			file, err := m.Deliver(write)
			if err == nil || file != "" || (step != "rename" && !errors.Is(err, boom)) {
				t.Errorf("file %q, error %v", file, err)
			}
			for _, sub := range []string{"tmp", "new"} {
				left, _ := os.ReadDir(filepath.Join(m.Path(), sub))
				if len(left) > 0 {
					t.Errorf("%s has %v", sub, left)
				}
			}
		})
	}
}

func TestSyncsBeforeAndAfterRename(t *testing.T) {
	t.Parallel()
	m := open(t)
	var synced []string
	m.fsync = func(f *os.File) error {
		synced = append(synced, filepath.Base(filepath.Dir(f.Name()))+" "+filepath.Base(f.Name()))
		return f.Sync()
	}
	file, err := m.Deliver(hello)
	if err != nil {
		t.Fatal(err)
	}
	if len(synced) != 2 || synced[0] != "tmp "+filepath.Base(file) || !strings.HasSuffix(synced[1], " new") {
		t.Errorf("synced %q", synced)
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	m := open(t)
	f, err := m.Folder("Quarantine")
	if err != nil {
		t.Fatal(err)
	}
	if f.Path() != filepath.Join(m.Path(), ".Quarantine") {
		t.Errorf("path %s", f.Path())
	}
	if _, err := os.Stat(filepath.Join(f.Path(), "maildirfolder")); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "a/b", "../x", "a\x00"} {
		if _, err := m.Folder(bad); err == nil {
			t.Errorf("folder %q", bad)
		}
	}
}

func TestOpenWhereAFileIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "not a folder") {
		t.Errorf("error %v", err)
	}
}

// TestDeliverOnceSyncsWhatIsThere: who delivered it may have been killed before the
// folder was synced.
func TestDeliverOnceSyncsWhatIsThere(t *testing.T) {
	t.Parallel()
	m := open(t)
	if _, _, err := m.DeliverOnce("a", hello); err != nil {
		t.Fatal(err)
	}
	var synced []string
	m.fsync = func(f *os.File) error { synced = append(synced, filepath.Base(f.Name())); return f.Sync() }
	if _, isNew, err := m.DeliverOnce("a", hello); err != nil || isNew || len(synced) != 1 || synced[0] != "new" {
		t.Errorf("new %v, error %v, synced %q", isNew, err, synced)
	}
	m.fsync = func(*os.File) error { return errors.New("boom") }
	if _, _, err := m.DeliverOnce("a", hello); err == nil {
		t.Error("a folder that cannot be synced is no error")
	}
}
