package script

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// entry is the module that the bundle is made of: it imports the scripts and
// assigns outName the list of what they export, an object for each.
//
// It names the exports one by one. Of a whole namespace (import * as s, and s)
// esbuild makes an object with a getter for each export, which costs a world of
// trivial handlers 40% of its time; where the names are not known it has to be that.
func (b *builder) entry() string {
	var imports, list strings.Builder
	exported := b.exported()
	for i, f := range b.files {
		fmt.Fprintf(&imports, "import * as s%d from %s;\n", i, jsString(f.real))
		names := exported[f.real]
		if len(names) == 0 {
			fmt.Fprintf(&list, "s%d, ", i)
			continue
		}
		list.WriteString("{")
		for _, name := range names {
			fmt.Fprintf(&list, "%[1]s: s%[2]d[%[1]s], ", jsString(name), i)
		}
		list.WriteString("}, ")
	}
	return imports.String() + outName + " = [" + list.String() + "];\n"
}

// exported are the names that each script exports, by its file, where they are all
// known: not of one that exports all of another's, that is no ES module, or that
// cannot be parsed. To say what is wrong with it is the bundling's part.
func (b *builder) exported() map[string][]string {
	var paths []string
	for _, f := range b.files {
		paths = append(paths, f.real)
	}
	result := api.Build(api.BuildOptions{
		EntryPoints: paths, Bundle: false, Write: false, Metafile: true, Format: api.FormatESModule, Platform: api.PlatformNeutral,
		AbsWorkingDir: b.real, Outdir: filepath.Join(b.real, bundleFile), LogLevel: api.LogLevelSilent, Loader: loaders(),
	})
	var meta struct {
		Outputs map[string]struct {
			EntryPoint string   `json:"entryPoint"`
			Exports    []string `json:"exports"`
		} `json:"outputs"`
	}
	all := map[string][]string{}
	if json.Unmarshal([]byte(result.Metafile), &meta) != nil {
		return all // there were errors
	}
	texts := map[string]string{}
	for _, f := range result.OutputFiles {
		texts[f.Path] = "\n" + string(f.Contents)
	}
	for output, o := range meta.Outputs {
		text := texts[b.absolute(output)]
		if text != "" && !strings.Contains(text, "\nexport * from ") && !strings.Contains(text, "\nexport default require_") {
			all[b.absolute(o.EntryPoint)] = o.Exports
		}
	}
	return all
}
