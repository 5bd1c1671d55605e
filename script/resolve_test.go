package script

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func shownOf(files []scriptFile) []string {
	var names []string
	for _, f := range files {
		names = append(names, f.shown)
	}
	return names
}

func TestResolveFolder(t *testing.T) {
	base := project(t, map[string]string{
		"scripts/20-b.ts": "", "scripts/10-a.js": "", "scripts/9.mjs": "", "scripts/x.mts": "", "scripts/B.js": "",
		"scripts/types.d.ts": "", "scripts/a.test.js": "", "scripts/a.test.ts": "", "scripts/.#10-a.js": "", "scripts/_lib.js": "",
		"scripts/10-a.js~": "", "scripts/4913": "", "scripts/x.json": "", "scripts/x.cjs": "", "scripts/sub/y.js": "", "scripts/dir.js/z.js": "",
	})
	files, _, faults := resolve(base, []string{"scripts"})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	wantLines(t, shownOf(files), "scripts/10-a.js", "scripts/20-b.ts", "scripts/9.mjs", "scripts/B.js", "scripts/x.mts")
}

func TestResolveListKeepsItsOrder(t *testing.T) {
	base := project(t, map[string]string{"z.js": "", "scripts/a.js": "", "scripts/_b.js": "", "lib/filters/c.test.js": ""})
	outside := project(t, map[string]string{"o.js": ""})
	files, _, faults := resolve(base, []string{"z.js", "./scripts/", "scripts/_b.js", "lib/filters/c.test.js", outside})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	// What is named is taken, whatever it is called.
	wantLines(t, shownOf(files), "z.js", "scripts/a.js", "scripts/_b.js", "lib/filters/c.test.js", filepath.Join(outside, "o.js"))
}

func TestResolveNothing(t *testing.T) {
	files, _, faults := resolve(t.TempDir(), nil)
	if len(files) > 0 || len(faults) > 0 {
		t.Errorf("files %v, faults %v", files, faults)
	}
}

func TestResolveFaults(t *testing.T) {
	base := project(t, map[string]string{"a.js": "", "readme.md": "", "empty/x.d.ts": "", "ok/b.js": ""})
	if err := os.Symlink("gone.js", filepath.Join(base, "ok", "dangling.js")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("b.js", filepath.Join(base, "ok", "c.js")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop.js", filepath.Join(base, "loop.js")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(base, "ok", "pipe.js"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, look, faults := resolve(base, []string{"gone", "gone.js", "readme.md", "empty", "a.js", "./a.js", "ok", "loop.js"})
	var got []string
	for _, f := range faults {
		got = append(got, f.String())
	}
	wantLines(
		t, got,
		"gone: no such file or folder",
		"gone.js: no such file or folder",
		"readme.md: is not a script: its name must end in .js, .mjs, .ts or .mts",
		"empty: the folder has no scripts (*.js *.mjs *.ts *.mts)",
		"a.js: is listed twice",
		"ok/c.js: is the same file as ok/b.js",
		"ok/dangling.js: no such file or folder",
		"ok/pipe.js: is not a regular file",
		"loop.js: too many links",
	)
	if len(look.paths) == 0 || len(look.folders) != 2 {
		t.Errorf("looked at %v, folders %v", look.paths, look.folders)
	}
}
