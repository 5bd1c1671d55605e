package script

import (
	"os"
	"path/filepath"
	"testing"

	"pmilter/filter"
)

func TestFaultTexts(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string // of scripts/, besides what text is in a.js
		text  string
		want  []string
	}{
		{"syntax", nil, "export const x = 1;\nconst ä = 'ö', y = );\n", []string{`scripts/a.js:2:20: Unexpected ")"`}},
		{"all at once", map[string]string{"b.ts": "let x: = 1\n"}, "export const x = ;\n", []string{
			`scripts/a.js:1:18: Unexpected ";"`, `scripts/b.ts:1:8: Unexpected "="`,
		}},
		{"misspelt", nil, `import { rejct } from "pmilter"; export const f = rejct;`, []string{
			`scripts/a.js:1:10: pmilter has no export "rejct" (did you mean "reject"?)`,
		}},
		{"unknown export", nil, `import { zzz } from "pmilter"; export const f = zzz;`, []string{`scripts/a.js:1:10: pmilter has no export "zzz"`}},
		{"of a namespace", nil, `import * as p from "pmilter"; export const f = p.rejct;`, []string{
			`scripts/a.js:1:50: warning: pmilter has no export "rejct" (did you mean "reject"?): it is undefined`,
		}},
		{"unset variable", nil, `import { hosts } from "pmilter/vars"; export const f = hosts;`, []string{
			`scripts/a.js:1:10: pmilter/vars has no export "hosts"`,
		}},
		{"neighbour's export", map[string]string{"_b.js": "export const second = 1;"}, `import { secnd } from "./_b.js"; export const f = secnd;`, []string{
			`scripts/a.js:1:10: scripts/_b.js has no export "secnd" (did you mean "second"?)`,
		}},
		{"unbuilt", nil, `import smtp from "pmilter/smtp";`, []string{`scripts/a.js:1:18: pmilter/smtp is not built yet`}},
		{"no such module", nil, `import x from "pmilter/var";`, []string{
			`scripts/a.js:1:15: no such module: pmilter/var (did you mean "pmilter/vars"?)`,
		}},
		{"files", nil, "import fs from 'fs';\nimport { readFile } from \"node:fs/promises\";", []string{
			`scripts/a.js:1:16: scripts cannot reach files: there is no "fs"; import a JSON or text file, or configure [vars]`,
			`scripts/a.js:2:26: scripts cannot reach files: there is no "node:fs/promises"; import a JSON or text file, or configure [vars]`,
		}},
		{"programs", nil, `const { exec } = require("child_process"); export const f = exec;`, []string{
			`scripts/a.js:1:26: scripts cannot run programs: there is no "child_process"; a queue's job can, by pmilter/exec`,
		}},
		{"sockets", nil, `import "net";`, []string{
			`scripts/a.js:1:8: scripts cannot open sockets: there is no "net"; see pmilter/http, pmilter/net and pmilter/dns`,
		}},
		{"node", nil, `import "node:path";`, []string{`scripts/a.js:1:8: "node:path" is a part of Node.js, which is not here`}},
		{"network", nil, `import x from "https://example.org/x.js";`, []string{
			`scripts/a.js:1:15: scripts are not fetched from the network: "https://example.org/x.js"`,
		}},
		{"missing file", nil, `import x from "./_x.js";`, []string{`scripts/a.js:1:15: cannot find "./_x.js"`}},
		{"missing package", nil, `import x from "leftpad";`, []string{
			`scripts/a.js:1:15: cannot find the package "leftpad": no node_modules folder from here upwards has it`,
		}},
		{"await", nil, "\nconst x = await 1;\nexport { x };", []string{`scripts/a.js:2:11: top-level code runs without await`}},
		{"for await", nil, "for await (const x of []) {}\nexport {};", []string{`scripts/a.js:1:5: top-level code runs without await`}},
		{"computed import", nil, "export const f = (x) =>\n  import(x);", []string{
			`scripts/a.js:2:3: import() needs the file's name as a literal, so that it can be bundled`,
		}},
		{"import of nothing", nil, "export const f = () => import('./gone.js');", []string{`scripts/a.js:1:31: cannot find "./gone.js"`}},
		{"constant", nil, "const x = 1;\nexport const f = () => { x = 2 };", []string{
			`scripts/a.js:2:26: Cannot assign to "x" because it is a constant`,
		}},
		{"sloppy", nil, "export {};\nwith (Math) { sin(1) }", []string{
			`scripts/a.js:2:1: With statements cannot be used in an ECMAScript module`,
		}},
		{"only goja", nil, "exports.f = 1;\n  with (Math) { sin(1) }", []string{`scripts/a.js:2:3: SyntaxError: Strict mode code may not include a with statement`}},
		{"JSX", nil, "export const f = <b/>;", []string{`scripts/a.js:1:18: The JSX syntax extension is not currently enabled`}},
		{"CSS", map[string]string{"x.css": "a{}"}, `import "./x.css";`, []string{
			`scripts/a.js:1:8: No loader is configured for ".css" files: scripts/x.css`,
		}},
		{"JSON", map[string]string{"x.json": "{\n  \"a\": tru\n}"}, `import x from "./x.json"; export const f = x;`, []string{
			`scripts/x.json:2:8: Unexpected "tru" in JSON`,
		}},
		{"import.meta", nil, `export const f = import.meta.url;`, []string{`scripts/a.js:1:18: warning: import.meta is empty here`}},
		{"regexp", nil, "export const f = /(/;", []string{`scripts/a.js:1:18: SyntaxError: Unterminated group`}},
		{"flags", nil, "export const f = /a/d;", []string{
			`scripts/a.js:1:18: SyntaxError: Invalid flags supplied to RegExp constructor 'd'`,
		}},
		{"v flag", nil, "export const f = 1;\nexport const g = /[a--b]/v, h = /\\p{Nope}/u;", []string{
			`scripts/a.js:2:18: SyntaxError: Invalid regular expression: the v flag is not supported; \p{...} works with the u flag`,
			`scripts/a.js:2:33: SyntaxError: Invalid regular expression: unknown or unsupported property \p{Nope}`,
		}},
		{"warning", nil, "export const f = (x) => x === -0;", []string{
			`scripts/a.js:1:31: warning: Comparison with -0 using the "===" operator will also match 0`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{"scripts/a.js": c.text}
			for name, text := range c.files {
				files["scripts/"+name] = text
			}
			wantLines(t, faultsOf(t, files, map[string]any{"host": 1}), c.want...)
		})
	}
}

func TestFaultInAPackageIsNotWarnedOf(t *testing.T) {
	wantLines(t, faultsOf(t, map[string]string{
		"scripts/a.js":                     `import "events"; import x from "p"; export const f = x`,
		"node_modules/p/index.js":          `export default (x) => x === -0`,
		"node_modules/events/x.js":         `export default 1`, // a package with the name of a part of Node.js
		"node_modules/events/package.json": `{"main": "x.js"}`,
	}, nil))
}

func TestFaultUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	base := project(t, map[string]string{"a.js": ""})
	if err := os.Chmod(filepath.Join(base, "a.js"), 0); err != nil {
		t.Fatal(err)
	}
	_, _, faults := newBundle(Options{Base: base, Scripts: []string{"a.js"}})
	if faults.Error() != "a.js: permission denied" {
		t.Error(faults)
	}
}

func TestFaults(t *testing.T) {
	warning := Fault{Message: "w", Warning: true}
	fatal := Fault{Pos: filter.Position{File: "a.js", Line: 1, Column: 2}, Message: "m"}
	if (Faults{warning}).Err() != nil || (Faults{warning, fatal}).Err() == nil || Faults(nil).Fatal() {
		t.Error("a warning is fatal, or a fault is not")
	}
	if got := (Faults{warning, fatal}).Error(); got != "warning: w\na.js:1:2: m" {
		t.Error(got)
	}
	if got := (Faults{warning, fatal}).Warnings(); len(got) != 1 || got[0] != warning {
		t.Error(got)
	}
}
