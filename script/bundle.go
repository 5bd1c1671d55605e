package script

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/dop251/goja"
	"github.com/evanw/esbuild/pkg/api"
)

// bundle is all scripts of a set as one compiled program, immutable and shared
// by every world.
type bundle struct {
	// program's value is a strict function: called with $native(module, name),
	// which gives the value of an export of a pmilter module, it runs the
	// scripts' top-level code and returns an array of their exports, in order.
	program *goja.Program
	files   []string          // the scripts in order, as users see them
	imports []map[string]bool // of each script, neighbours included: "pmilter", "pmilter/vars" ...
	usage   usage
	inputs  []string        // absolute paths that were read, and the folders they were listed from
	covered []*atomic.Int64 // counts of the statements, when they are counted
	version string          // a short hash of the code, its positions and the names

	// What the program was made of: see encode.
	code     string
	mapping  []byte
	authored int
}

const (
	outName = "$out" // what the bundle assigns the list of exports to
	// The bundle begins on the second line. "use strict" holds for packages too:
	// a world's code never runs sloppy.
	bundleHead  = "(function(" + nativeName + "){\"use strict\";var " + outName + ";\n"
	bundleTail  = "return " + outName + ";})\n//# sourceMappingURL=" + bundleFile + ".map"
	linesBefore = 1
)

// newBundle resolves, bundles and compiles the scripts. It reads files and
// writes none. The bundle is nil when the faults are fatal; what was looked at
// is told in any case.
func newBundle(o Options) (*bundle, seen, Faults) {
	base, err := filepath.Abs(o.Base)
	if err != nil {
		return nil, seen{}, Faults{{Message: err.Error()}}
	}
	files, look, faults := resolve(base, o.Scripts)
	if faults.Fatal() {
		return nil, look, faults
	}
	b := &builder{base: base, real: base, files: files, vars: o.Vars, look: look, names: newNamer(base, files), jobs: o.Jobs, tests: o.tests, cover: o.Coverage, queues: o.Queues}
	if real, err := filepath.EvalSymlinks(base); err == nil {
		b.real = real
	}
	out := b.build()
	return out, b.look, b.faults
}

// builder makes one bundle.
type builder struct {
	base, real string
	files      []scriptFile
	vars       map[string]any
	tests      bool      // the files are tests
	cover      *Coverage // nil: statements are not counted
	names      *namer
	look       seen
	faults     Faults
	jobs       bool
	queues     []string // nil: not known
}

func (b *builder) build() *bundle {
	watched := &importer{base: b.real, vars: b.vars, jobs: b.jobs, tests: b.tests}
	result := api.Build(b.options(watched))
	b.messages(result.Errors, false)
	b.messages(result.Warnings, true)
	b.look.paths = append(b.look.paths, watched.wanted(b.faults.Fatal())...)

	out := &bundle{}
	for _, f := range b.files {
		out.files = append(out.files, f.shown)
	}
	inputs, err := b.inputs(result.Metafile, out)
	b.look.paths = append(b.look.paths, inputs...)
	b.look.paths = append(b.look.paths, b.compilerSettings()...)
	if b.faults.Fatal() {
		return nil
	}
	if err != nil {
		return b.internal(err)
	}
	code, mapping := outputs(result)
	positions, err := parseSourceMap(mapping, code, b.shownSource)
	if err != nil {
		return b.internal(err)
	}
	if !b.compile(out, code, positions) {
		return nil
	}
	out.inputs = append(append(out.inputs, b.look.paths...), b.look.folders...)
	return out
}

// compilerSettings is where esbuild looks for TypeScript's settings.
func (b *builder) compilerSettings() []string {
	var paths []string
	for _, f := range b.files {
		for folder := filepath.Dir(f.real); ; folder = filepath.Dir(folder) {
			paths = append(paths, filepath.Join(folder, "tsconfig.json"), filepath.Join(folder, "jsconfig.json"))
			if folder == b.real || folder == filepath.Dir(folder) {
				break
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// internal is a fault of ours.
func (b *builder) internal(err error) *bundle {
	b.faults = append(b.faults, Fault{Message: err.Error()})
	return nil
}

// options is how esbuild is to bundle: in memory, one plain script, with what
// goja lacks written in other words.
func (b *builder) options(plugin *importer) api.BuildOptions {
	return api.BuildOptions{
		Stdin: &api.StdinOptions{
			Contents: b.entry(), ResolveDir: b.real, Sourcefile: entryName, Loader: api.LoaderJS,
		},
		Bundle: true, Write: false, Format: api.FormatIIFE, Platform: api.PlatformNeutral, Target: api.ES2017,
		Supported:     nativeSyntax(),
		MainFields:    []string{"module", "main"},
		AbsWorkingDir: b.real, Outfile: filepath.Join(b.real, bundleFile),
		Sourcemap: api.SourceMapExternal, SourcesContent: api.SourcesContentExclude, Metafile: true,
		LogLevel: api.LogLevelSilent, LegalComments: api.LegalCommentsNone, TreeShaking: api.TreeShakingTrue,
		ResolveExtensions: []string{".ts", ".mts", ".js", ".mjs", ".json"},
		Loader:            loaders(),
		Define:            map[string]string{"process.env.NODE_ENV": `"production"`},
		Plugins:           []api.Plugin{{Name: "pmilter", Setup: plugin.setup}},
	}
}

// loaders is what may be imported.
func loaders() map[string]api.Loader {
	return map[string]api.Loader{
		".js": api.LoaderJS, ".mjs": api.LoaderJS, ".cjs": api.LoaderJS,
		".ts": api.LoaderTS, ".mts": api.LoaderTS, ".cts": api.LoaderTS,
		".json": api.LoaderJSON, ".txt": api.LoaderText, ".eml": api.LoaderText, ".pem": api.LoaderText,
		".jsx": api.LoaderNone, ".tsx": api.LoaderNone, ".css": api.LoaderNone, ".module.css": api.LoaderNone,
	}
}

// nativeSyntax is what goja knows beyond ES2017, and so is left as written:
// faster, and with better positions. The v flag and \p{} are kept to be found
// by compile; d is kept so that it is a fault at load, not at run time.
func nativeSyntax() map[string]bool {
	known := map[string]bool{"async-generator": false, "for-await": false, "decorators": false, "using": false}
	for _, feature := range []string{
		"arbitrary-module-namespace-names", "bigint", "class-field", "class-private-accessor", "class-private-brand-check",
		"class-private-field", "class-private-method", "class-private-static-accessor", "class-private-static-field",
		"class-private-static-method", "class-static-blocks", "class-static-field", "export-star-as", "logical-assignment",
		"nullish-coalescing", "object-rest-spread", "optional-catch-binding", "optional-chain", "regexp-dot-all-flag",
		"regexp-lookbehind-assertions", "regexp-match-indices", "regexp-named-capture-groups", "regexp-set-notation",
		"regexp-sticky-and-unicode-flags", "regexp-unicode-property-escapes",
	} {
		known[feature] = true
	}
	return known
}

// outputs is the bundle and its source map.
func outputs(result api.BuildResult) (code string, mapping []byte) {
	for _, f := range result.OutputFiles {
		if filepath.Ext(f.Path) == ".map" {
			mapping = f.Contents
		} else {
			code = string(f.Contents)
		}
	}
	return code, mapping
}

// versionOf is the same for the same code at the same places.
func versionOf(code string, mapping []byte) string {
	h := sha256.New()
	h.Write([]byte(code))
	h.Write(mapping)
	return hex.EncodeToString(h.Sum(nil))[:12]
}
