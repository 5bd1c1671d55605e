package script

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"pmilter/filter"
)

// scriptFile is one script as configured.
type scriptFile struct {
	shown string // as users see it, everywhere
	path  string // absolute, links as they are
	real  string // absolute, links followed
}

// seen is what a load looked at: what to watch. It is filled even when the load fails.
type seen struct {
	paths   []string // absolute: read, listed, or looked for
	folders []string // absolute: every script in them counts
}

// resolve turns the configured list into the ordered list of scripts. It reads folders, no files.
func resolve(base string, scripts []string) ([]scriptFile, seen, Faults) {
	r := resolver{base: base, known: map[string]string{}}
	r.look.paths = append(r.look.paths, base)
	for _, entry := range scripts {
		r.entry(entry)
	}
	return r.files, r.look, r.faults
}

type resolver struct {
	base   string
	files  []scriptFile
	known  map[string]string // real path to shown name
	look   seen
	faults Faults
}

func (r *resolver) fault(path, message string) {
	r.faults = append(r.faults, Fault{Pos: filter.Position{File: r.shown(path)}, Message: message})
}

func (r *resolver) shown(path string) string { return shownBeneath(r.base, path) }

// entry adds one entry of the list: a file or a folder.
func (r *resolver) entry(entry string) {
	path := filepath.Clean(entry)
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.base, path)
	}
	r.look.paths = append(r.look.paths, path)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		r.fault(path, reason(err))
	case info.IsDir():
		r.folder(path)
	case !isScript(path):
		r.fault(path, "is not a script: its name must end in .js, .mjs, .ts or .mts")
	default:
		r.file(path, info)
	}
}

// folder adds the scripts of a folder, in lexical order (os.ReadDir sorts).
func (r *resolver) folder(path string) {
	r.look.folders = append(r.look.folders, path)
	entries, err := os.ReadDir(path)
	if err != nil {
		r.fault(path, reason(err))
		return
	}
	found := 0
	for _, e := range entries {
		if !isFilter(e.Name()) {
			continue
		}
		file := filepath.Join(path, e.Name())
		info, err := os.Stat(file)
		switch {
		case err != nil:
			r.look.paths = append(r.look.paths, file)
			r.fault(file, reason(err))
		case !info.IsDir():
			r.file(file, info)
		default:
			continue
		}
		found++
	}
	if found == 0 {
		r.fault(path, "the folder has no scripts (*.js *.mjs *.ts *.mts)")
	}
}

func (r *resolver) file(path string, info fs.FileInfo) {
	r.look.paths = append(r.look.paths, path)
	if !info.Mode().IsRegular() {
		r.fault(path, "is not a regular file")
		return
	}
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		err = readable(real)
	}
	if err != nil {
		r.fault(path, reason(err))
		return
	}
	if first, twice := r.known[real]; twice {
		message := "is listed twice"
		if first != r.shown(path) {
			message = "is the same file as " + first
		}
		r.fault(path, message)
		return
	}
	r.known[real] = r.shown(path)
	r.files = append(r.files, scriptFile{shown: r.shown(path), path: path, real: real})
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// reason is a system error without the path, which the position has already.
func reason(err error) string {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such file or folder"
	case errors.Is(err, syscall.ELOOP):
		return "too many links"
	case errors.As(err, &path):
		return path.Err.Error()
	default:
		return err.Error()
	}
}

func isScript(name string) bool {
	return slices.Contains([]string{".js", ".mjs", ".ts", ".mts"}, filepath.Ext(name))
}

// isFilter tells whether a name in a scripts folder is one of a filter.
func isFilter(name string) bool {
	if !isScript(name) || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return false
	}
	stem := strings.TrimSuffix(name, filepath.Ext(name))
	return !strings.HasSuffix(stem, ".test") && !strings.HasSuffix(stem, ".d")
}

// shownBeneath is path relative to base if it is beneath, else path.
func shownBeneath(base, path string) string {
	rel, err := filepath.Rel(base, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return path
	}
	return rel
}

// namer finds the name to show for a file whose links were followed.
type namer struct {
	base  string
	roots [][2]string // a folder with its links followed, and as it was configured
}

func newNamer(base string, files []scriptFile) *namer {
	n := &namer{base: base}
	for _, f := range files {
		n.add(filepath.Dir(f.real), filepath.Dir(f.path))
	}
	if real, err := filepath.EvalSymlinks(base); err == nil {
		n.add(real, base)
	}
	return n
}

func (n *namer) add(real, path string) {
	root := [2]string{real, path}
	if real != path && !slices.Contains(n.roots, root) {
		n.roots = append(n.roots, root)
	}
}

// shown prefers the way through the configured folders to where their links
// lead: "scripts/names.js", not "..2026_01_02/names.js" of a Kubernetes volume.
func (n *namer) shown(files []scriptFile, real string) string {
	for _, f := range files {
		if f.real == real {
			return f.shown
		}
	}
	for _, root := range n.roots {
		rel := shownBeneath(root[0], real)
		if rel == real {
			continue
		}
		path := filepath.Join(root[1], rel)
		if again, err := filepath.EvalSymlinks(path); err == nil && again == real {
			return shownBeneath(n.base, path)
		}
	}
	return shownBeneath(n.base, real)
}
