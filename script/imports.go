package script

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/evanw/esbuild/pkg/api"
)

const (
	entryName  = ownPrefix + "entry"
	ownModules = "pmilter" // esbuild's namespace of them: "pmilter:pmilter/vars"
)

// importer is the esbuild plugin that knows which imports are ours, which
// cannot be, and where the others were looked for.
type importer struct {
	base  string
	vars  map[string]any
	jobs  bool // the scripts are those of jobs
	tests bool // the files are tests

	mu       sync.Mutex // esbuild resolves on many goroutines
	relative map[string]bool
	packages map[[2]string]bool // folder of the importer, name
}

// resolving marks our own questions to esbuild, so that they are not asked again.
type resolving struct{}

func (p *importer) setup(build api.PluginBuild) {
	p.relative, p.packages = map[string]bool{}, map[[2]string]bool{}
	build.OnResolve(api.OnResolveOptions{Filter: `.*`}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
		return p.resolve(build, a), nil
	})
	build.OnLoad(api.OnLoadOptions{Filter: `.*`, Namespace: ownModules}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
		source := moduleSource(a.Path, p.vars)
		return api.OnLoadResult{Contents: &source, Loader: api.LoaderJS}, nil
	})
}

// resolve answers for one import; an empty answer leaves it to esbuild.
func (p *importer) resolve(build api.PluginBuild, a api.OnResolveArgs) api.OnResolveResult {
	if _, ours := a.PluginData.(resolving); ours || a.Kind == api.ResolveEntryPoint {
		return api.OnResolveResult{}
	}
	refuse := func(message string) api.OnResolveResult {
		return api.OnResolveResult{Errors: []api.Message{{Text: message}}}
	}
	name := a.Path
	switch {
	case name == "pmilter" || strings.HasPrefix(name, "pmilter/"):
		m, built := modules()[name]
		switch {
		case !built:
			return refuse(moduleFault(name))
		case m.jobs && !p.jobs && !p.tests: // a test may import a job's functions
			return refuse(name + " is for the scripts of jobs alone: a filter puts the message on a queue, and the queue's job does the rest")
		case m.tests && !p.tests:
			return refuse(name + " is for tests: files named *.test.js or *.test.ts, which 'pmilterd test' runs")
		}
		return api.OnResolveResult{Path: name, Namespace: ownModules}
	case strings.HasPrefix(name, "http:") || strings.HasPrefix(name, "https:") || strings.HasPrefix(name, "//"):
		return refuse(fmt.Sprintf("scripts are not fetched from the network: %q", name))
	case strings.HasPrefix(name, "./") || strings.HasPrefix(name, "../") || name == "." || name == "..":
		p.want(filepath.Join(a.ResolveDir, name), "", "")
		return api.OnResolveResult{}
	case filepath.IsAbs(name) || strings.HasPrefix(name, "data:"):
		return api.OnResolveResult{}
	}
	p.want("", a.ResolveDir, name)
	message := builtinFault(name)
	if message == "" {
		return api.OnResolveResult{}
	}
	// A package of that name may be installed: events, buffer, url ...
	found := build.Resolve(name, api.ResolveOptions{
		Importer: a.Importer, Namespace: a.Namespace, ResolveDir: a.ResolveDir, Kind: a.Kind, PluginData: resolving{},
	})
	switch {
	case len(found.Errors) == 0 && !found.External:
		return api.OnResolveResult{Path: found.Path, Namespace: found.Namespace}
	case a.Kind == api.ResolveJSRequireCall && strings.Contains(a.Importer, "/node_modules/"):
		// Packages try what there is: it throws when, and only if, it is reached.
		return api.OnResolveResult{Path: name, External: true}
	default:
		return refuse(message)
	}
}

func (p *importer) want(path, folder, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if path != "" {
		p.relative[path] = true
		return
	}
	parts := strings.SplitN(name, "/", 3)
	if strings.HasPrefix(name, "@") && len(parts) > 1 {
		parts[0] += "/" + parts[1]
	}
	p.packages[[2]string{folder, parts[0]}] = true
}

// wanted is where imports were looked for. Where packages could come to be is
// of interest only while something is missing.
func (p *importer) wanted(missing bool) []string {
	var paths []string
	for path := range p.relative {
		paths = append(paths, path)
		if missing {
			paths = append(paths, filepath.Join(path, "index"), filepath.Join(path, "package.json"))
		}
	}
	if !missing {
		return paths
	}
	for k := range p.packages {
		for folder := k[0]; ; folder = filepath.Dir(folder) {
			paths = append(paths, filepath.Join(folder, "node_modules", k[1]), filepath.Join(folder, "node_modules", k[1], "package.json"))
			if folder == p.base || folder == filepath.Dir(folder) {
				break
			}
		}
	}
	return paths
}

// inputs reads esbuild's account: the files that went in, and which of our
// modules each script reaches.
func (b *builder) inputs(metafile string, out *bundle) ([]string, error) {
	if metafile == "" {
		return nil, nil
	}
	var meta struct {
		Inputs map[string]struct {
			Imports []struct {
				Path string `json:"path"`
			} `json:"imports"`
		} `json:"inputs"`
	}
	if err := json.Unmarshal([]byte(metafile), &meta); err != nil {
		return nil, fmt.Errorf("bundle: metafile: %w", err)
	}
	byFile := map[string]string{} // absolute path to esbuild's name
	var paths []string
	for name := range meta.Inputs {
		if strings.HasPrefix(name, ownPrefix) || strings.HasPrefix(name, "(disabled):") {
			continue
		}
		path := b.absolute(name)
		byFile[path] = name
		paths = append(paths, path)
		paths = append(paths, packageFile(path)...)
	}
	slices.Sort(paths)
	for _, f := range b.files {
		modules, visited := map[string]bool{}, map[string]bool{}
		var visit func(name string)
		visit = func(name string) {
			if visited[name] {
				return
			}
			visited[name] = true
			if module, ours := strings.CutPrefix(name, ownModules+":"); ours {
				modules[module] = true
				return
			}
			for _, i := range meta.Inputs[name].Imports {
				visit(i.Path)
			}
		}
		visit(byFile[f.real])
		out.imports = append(out.imports, modules)
	}
	return slices.Compact(paths), nil
}

// packageFile is the package.json that says which of a package's files is meant.
func packageFile(path string) []string {
	i := strings.LastIndex(path, "/node_modules/")
	if i < 0 {
		return nil
	}
	root := path[:i+len("/node_modules/")]
	parts := strings.SplitN(path[len(root):], "/", 3)
	if strings.HasPrefix(parts[0], "@") && len(parts) > 1 {
		parts[0] += "/" + parts[1]
	}
	return []string{filepath.Join(root, parts[0], "package.json")}
}

// absolute is the path behind a name of esbuild's, which is relative to its working folder.
func (b *builder) absolute(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(b.real, name)
}

// shownSource is the name to show for a source in esbuild's map, where names are
// escaped as in URLs.
func (b *builder) shownSource(name string) string {
	if own := strings.TrimPrefix(name, "./"); strings.HasPrefix(own, ownPrefix) {
		return own
	}
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	return b.shown(name)
}

// shown is the name to show for an input of esbuild's.
func (b *builder) shown(name string) string { return b.names.shown(b.files, b.absolute(name)) }

// jsString is s as a JavaScript literal.
func jsString(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		return `""` // a string always marshals
	}
	return string(quoted)
}
