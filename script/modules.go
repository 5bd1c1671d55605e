package script

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/dop251/goja"
)

// nativeName is the function that gives a bundle the exports of our modules.
const nativeName = "$native"

// module is one of ours, which scripts import by its name.
type module struct {
	// exports are the named exports; the default export is an object of them.
	exports []string
	// export makes one of them in a world, at the import's first use.
	export func(w *World, name string) goja.Value
	// jobs: only the scripts of jobs may import it.
	jobs bool
	// tests: only files of tests may import it.
	tests bool
}

// modules are those that are built, by name. The exports of pmilter/vars are the
// configuration's.
func modules() map[string]module {
	return map[string]module{
		"pmilter":         {exports: []string{"accept", "reject", "tempfail", "discard", "skip", "note"}, export: (*World).verdictExport},
		"pmilter/auth":    {exports: []string{"spf", "dkim", "dmarc", "arc", "sign", "authenticationResults"}, export: (*World).authExport},
		"pmilter/dns":     {exports: []string{"resolve", "reverse", "dnsbl"}, export: (*World).dnsExport},
		"pmilter/exec":    {exports: []string{"run"}, export: (*World).execExport, jobs: true},
		"pmilter/http":    {exports: []string{"fetch"}, export: (*World).httpExport},
		"pmilter/maildir": {exports: []string{"deliver"}, export: (*World).maildirExport, jobs: true},
		"pmilter/match":   matchModule(),
		"pmilter/net":     {exports: []string{"exchange"}, export: (*World).netExport},
		"pmilter/queue":   {exports: []string{"enqueue"}, export: (*World).queueExport},
		"pmilter/smtp":    {exports: []string{"send"}, export: (*World).smtpExport, jobs: true},
		"pmilter/store":   storeModule(),
		"pmilter/table":   tableModule(),
		"pmilter/test":    {exports: testExports(), export: (*World).testExport, tests: true},
		"pmilter/vars":    {export: (*World).varsExport},
	}
}

// moduleFault says why a module of ours cannot be imported.
func moduleFault(name string) string {
	message := "no such module: " + name
	var known []string
	for m := range modules() {
		known = append(known, strings.TrimPrefix(m, "pmilter/"))
	}
	slices.Sort(known)
	if near := nearest(strings.TrimPrefix(name, "pmilter/"), known); near != "" {
		message += fmt.Sprintf(" (did you mean %q?)", "pmilter/"+near)
	}
	return message
}

// moduleSource is the module as JavaScript. What a script does not use is left
// out of the bundle: each export is pure in esbuild's eyes.
func moduleSource(name string, vars map[string]any) string {
	var b strings.Builder
	if name == "pmilter/vars" {
		varsSource(&b, vars)
		return b.String()
	}
	exports := modules()[name].exports
	members := make([]string, len(exports))
	for i, e := range exports {
		local := e
		if e == "delete" { // a word of the language names a property and no constant
			local = "$" + e
		}
		fmt.Fprintf(&b, "const %s = /* @__PURE__ */ %s(%q, %q);\nexport { %s as %s };\n", local, nativeName, name, e, local, e)
		members[i] = e + ": " + local
	}
	fmt.Fprintf(&b, "export default {%s};\n", strings.Join(members, ", "))
	return b.String()
}

// varsSource makes `import vars from` and `import * as vars from` the same: the
// default export has everything, and each variable is an export of its own.
func varsSource(b *strings.Builder, vars map[string]any) {
	fmt.Fprintf(b, "const vars = /* @__PURE__ */ %s(\"pmilter/vars\", \"default\");\nexport default vars;\n", nativeName)
	names := make([]string, 0, len(vars))
	for name := range vars {
		if name != "default" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for i, name := range names {
		quoted, err := json.Marshal(name)
		if err != nil {
			continue // a string always marshals
		}
		fmt.Fprintf(b, "const v%d = /* @__PURE__ */ (() => vars[%s])();\nexport { v%d as %s };\n", i, quoted, i, quoted)
	}
}

// builtinFault says why a module of Node.js cannot be had, or "" if the name is none.
func builtinFault(name string) string {
	bare := strings.TrimPrefix(name, "node:")
	top, _, _ := strings.Cut(bare, "/")
	switch top {
	case "fs":
		return fmt.Sprintf("scripts cannot reach files: there is no %q; import a JSON or text file, or configure [vars]", name)
	case "net", "http", "https", "http2", "tls", "dgram", "dns", "inspector":
		return fmt.Sprintf("scripts cannot open sockets: there is no %q; see pmilter/http, pmilter/net and pmilter/dns", name)
	case "child_process", "cluster", "worker_threads":
		return fmt.Sprintf("scripts cannot run programs: there is no %q; a queue's job can, by pmilter/exec", name)
	}
	others := []string{
		"assert", "async_hooks", "buffer", "console", "constants", "crypto", "diagnostics_channel", "domain", "events",
		"module", "os", "path", "perf_hooks", "process", "punycode", "querystring", "readline", "repl", "stream",
		"string_decoder", "sys", "timers", "trace_events", "tty", "url", "util", "v8", "vm", "wasi", "zlib",
	}
	if bare != name || slices.Contains(others, top) {
		return fmt.Sprintf("%q is a part of Node.js, which is not here", name)
	}
	return ""
}

// nearest is the candidate that a misspelt name was meant to be, or "".
func nearest(name string, candidates []string) string {
	best, least := "", 3
	for _, c := range candidates {
		if d := editDistance(name, c); d < least && d < len(c) {
			best, least = c, d
		}
	}
	return best
}

// editDistance is Levenshtein's. Long names are far from everything.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
