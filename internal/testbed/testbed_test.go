package testbed

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pmilter/filter"
	"pmilter/script"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector keeps what is reported.
type collector struct {
	files []FileReport
	sum   Summary
}

func (c *collector) File(f FileReport)   { c.files = append(c.files, f) }
func (c *collector) End(s Summary) error { c.sum = s; return nil }
func (c *collector) tests() (all []script.TestReport) {
	for _, f := range c.files {
		all = append(all, f.Tests...)
	}
	return all
}

// run runs files of testdata, or of another folder, on its scripts.
func run(t *testing.T, base string, report Reporter, files ...string) Summary {
	t.Helper()
	abs, err := filepath.Abs(base)
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]any{"own": "configured"}
	load := script.Options{
		Base: abs, Scripts: []string{"scripts"}, Vars: vars,
		Limits: script.Limits{Timeout: time.Minute, CPU: 2 * time.Second, Memory: 4 << 30, MaxValue: 64 << 20},
	}
	filters := load
	filters.Scripts = []string{"scripts/10-time.js"}
	if base != "testdata" {
		filters.Scripts = []string{"scripts"}
	}
	bench := NewBench(BenchOptions{Scripts: filters, Vars: vars, Queues: []string{"archive"}, Jobs: []Job{
		{Queue: "archive", Script: filepath.Join(abs, "scripts/50-job.mjs"), Maildir: "/var/spool/archive", Timeout: 90 * time.Second},
	}, Filter: filter.Options{
		Timeout: 8 * time.Second, EOMTimeout: time.Minute, OnError: filter.Tempfail, MaxMessage: 1 << 20,
	}})
	defer bench.Close()
	for i := range files {
		files[i] = filepath.Join(abs, files[i])
	}
	sum, _, err := Run(t.Context(), files, Options{Bench: bench, Load: load, Report: report, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// TestOwnTests: expect and the clock are tested by tests of their own kind. A
// matcher that passed whatever it is given would fail those that must throw.
func TestOwnTests(t *testing.T) {
	for _, file := range []string{"expect.test.js", "time.test.js", "outside.test.js"} {
		t.Run(file, func(t *testing.T) {
			c := &collector{}
			if sum := run(t, "testdata", c, file); !sum.Good() || sum.Skipped > 0 {
				t.Errorf("%+v", sum)
			}
			for _, r := range c.tests() {
				if r.Failure != nil {
					t.Errorf("%s: %s at %s", r.Path, r.Failure.Message, r.Failure.Pos)
				}
			}
			for _, f := range c.files {
				if f.Err != nil {
					t.Error(f.Err)
				}
			}
		})
	}
}

// TestFailures: how each kind of failure looks. PMILTER_UPDATE=1 rewrites it.
func TestFailures(t *testing.T) {
	var out bytes.Buffer
	run(t, "testdata", NewPretty(&out, false), "failing.test.js")
	// On a slow machine a test that passes is marked as slow.
	got := regexp.MustCompile(`(?m)^( *✓ .*) \(\d+ ms\)$`).ReplaceAll(out.Bytes(), []byte("$1"))
	got = regexp.MustCompile(`\(\d+ ms\)|\(\d+\.\d+ s\)`).ReplaceAll(got, []byte("(TIME)"))
	abs, _ := filepath.Abs("testdata")
	got = bytes.ReplaceAll(got, []byte(abs), []byte("BASE"))
	const golden = "testdata/failing.want"
	if os.Getenv("PMILTER_UPDATE") == "1" {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v; got\n%s", err, got)
	}
}

// project writes files into a folder.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const head = `import { afterEach, beforeEach, describe, expect, only, session, skip, test } from "pmilter/test";` + "\n"

func TestOrder(t *testing.T) {
	dir := project(t, map[string]string{"scripts/10.js": "export function mail() {}", "a.test.js": head + `
		beforeEach(() => console.log("b1"));
		afterEach(async () => { await null; console.log("a1"); });
		describe("g", () => {
			beforeEach(async () => { await null; console.log("b2"); });
			afterEach(() => console.log("a2"));
			test("one", () => console.log("one"));
			describe("h", () => test("two", () => console.log("two")));
		});
		test("three", () => console.log("three"));`})
	c := &collector{}
	run(t, dir, c, "a.test.js")
	var got []string
	for _, r := range c.tests() {
		got = append(got, strings.Join(r.Path, "/")+":")
		for _, line := range r.Log {
			got = append(got, line[strings.LastIndex(line, " ")+1:])
		}
	}
	const want = "g/one: b1 b2 one a2 a1 g/h/two: b1 b2 two a2 a1 three: b1 three a1"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}

// TestChosen: the names of groups are part of a test's.
func TestChosen(t *testing.T) {
	dir := project(t, map[string]string{"a.test.js": head + `describe("g", () => { test("one", () => {}); test("two", () => {}); }); test("one", () => {});`})
	load := script.Options{Base: dir, Limits: script.Limits{Timeout: time.Minute, CPU: time.Minute, Memory: 4 << 30, MaxValue: 1 << 20}}
	bench := NewBench(BenchOptions{Scripts: load})
	defer bench.Close()
	for chosen, want := range map[string]int{"": 3, "one": 2, "g > one": 1, "g": 2, "three": 0} {
		sum, _, err := Run(t.Context(), []string{filepath.Join(dir, "a.test.js")}, Options{Bench: bench, Load: load, Filter: chosen, Report: &collector{}})
		if err != nil || sum.Passed != want {
			t.Errorf("%q: %+v, %v; want %d", chosen, sum, err, want)
		}
	}
}

func TestOnlyAndSkip(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"only":          {`test("a", () => {}); test.only("b", () => {}); only("c", () => {});`, "a:skipped b:passed c:passed"},
		"skip":          {`test("a", () => {}); test.skip("b", () => { throw 1; }); skip("c");`, "a:passed b:skipped c:skipped"},
		"describe.only": {`test("a", () => {}); describe.only("g", () => { test("b", () => {}); test.skip("c", () => {}); });`, "a:skipped b:passed c:skipped"},
		"describe.skip": {`test("a", () => {}); describe.skip("g", () => { test.only("b", () => {}); });`, "a:skipped b:skipped"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := project(t, map[string]string{"scripts/10.js": "export function mail() {}", "a.test.js": head + c.text})
			reports := &collector{}
			run(t, dir, reports, "a.test.js")
			var got []string
			for _, r := range reports.tests() {
				got = append(got, r.Path[len(r.Path)-1]+":"+r.Status.String())
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " "), c.want)
			}
		})
	}
}

// TestFaults: a file that cannot be run is one fault with its place.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"syntax":         {"test(", "a.test.js:2:"},
		"no tests":       {"", "a.test.js: has no tests"},
		"top level":      {"nothing.here();", "a.test.js:2:1: top-level code: ReferenceError: nothing is not defined"},
		"describe":       {`describe("g", () => { null.x; });`, "top-level code: TypeError"},
		"async describe": {`describe("g", async () => {});`, "tests are declared without waiting"},
		"no function":    {`test("a");`, `test("a") has no function`},
		"session":        {`session();`, "session is called outside a test"},
		"timeout":        {`test("a", () => {}, "soon");`, `the timeout of "a" is "soon"`},
		"import":         {`import { tset } from "pmilter/test"; tset();`, `did you mean "test"?`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := project(t, map[string]string{"scripts/10.js": "export function mail() {}", "a.test.js": head + c.text})
			reports := &collector{}
			run(t, dir, reports, "a.test.js")
			if err := reports.files[0].Err; err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	dir := project(t, map[string]string{"scripts/10.js": "export function mail() {}", "a.test.js": head + `test("a", () => { test("b", () => {}); });`})
	reports := &collector{}
	run(t, dir, reports, "a.test.js")
	if f := reports.tests()[0].Failure; f == nil || !strings.Contains(f.Message, "is called in a test") {
		t.Errorf("%+v", f)
	}
}

// TestLoop: an endless loop costs its test, and the next one a fresh world.
func TestLoop(t *testing.T) {
	dir := project(t, map[string]string{"scripts/10.js": "export function mail() {}", "a.test.js": head + `let n = 0;
		test("a", () => { for (;;) n++; }, { timeout: "100ms" });
		test("b", () => expect(n).toBe(0));`})
	reports := &collector{}
	run(t, dir, reports, "a.test.js")
	all := reports.tests()
	if f := all[0].Failure; f == nil || !strings.Contains(f.Message, "it ran for 100ms without an end or an await") || f.Pos.Line != 3 {
		t.Errorf("%+v", f)
	}
	if all[1].Status != script.Passed {
		t.Errorf("%+v", all[1].Failure)
	}
}

// TestFilterThatDoesNotLoad: the faults are the session's, with their places.
func TestFilterThatDoesNotLoad(t *testing.T) {
	dir := project(t, map[string]string{
		"scripts/10.js": "export function mail() {", "a.test.js": head + `test("a", async () => { await session(); });`,
	})
	reports := &collector{}
	run(t, dir, reports, "a.test.js")
	if f := reports.tests()[0].Failure; f == nil || !strings.Contains(f.Message, "scripts/10.js:1:25") || f.Pos.File != "a.test.js" {
		t.Errorf("%+v", f)
	}
}

// TestCancel: Ctrl-C ends a run.
func TestCancel(t *testing.T) {
	dir := project(t, map[string]string{"a.test.js": head + `test("a", () => { for (;;); }, "200ms"); test("b", () => { for (;;); });`})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	load := script.Options{Base: dir, Limits: script.Limits{Timeout: time.Minute, CPU: time.Minute, Memory: 4 << 30, MaxValue: 1 << 20}}
	bench := NewBench(BenchOptions{Scripts: load})
	defer bench.Close()
	_, _, err := Run(ctx, []string{filepath.Join(dir, "a.test.js")}, Options{Bench: bench, Load: load, Report: &collector{}, Timeout: time.Second})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestCoverage(t *testing.T) {
	dir := project(t, map[string]string{"scripts/10.js": `import { reject } from "pmilter";
import { twice } from "./_lib.js";

export async function mail(session, sender) {
  if (sender.local === "bad")
    return reject();
  const add = (n) => n + 1;
  for (let i = 0; i < 3; i++) add(twice(i));
  try {
    await null;
  } finally {
    switch (sender.local) {
      case "x": throw new Error("x");
    }
  }
}
`, "scripts/_lib.js": `export function twice(n) {
  return 2 * n;
}
export function unused() {
  return 1;
}
`, "a.test.js": head + `test("a", async () => { const s = await session(); expect(await s.mail("a@example.org")).toMatchObject({ error: "" }); });`})
	coverage := script.NewCoverage()
	load := script.Options{Base: dir, Scripts: []string{"scripts"}, Limits: script.Limits{Timeout: time.Minute, CPU: time.Minute, Memory: 4 << 30, MaxValue: 1 << 20}}
	filters := load
	filters.Coverage = coverage
	bench := NewBench(BenchOptions{Scripts: filters, Filter: filter.Options{Timeout: time.Minute, OnError: filter.Tempfail}})
	defer bench.Close()
	c := &collector{}
	sum, _, err := Run(t.Context(), []string{filepath.Join(dir, "a.test.js")}, Options{Bench: bench, Load: load, Report: c})
	if err != nil || !sum.Good() {
		t.Fatal(err, sum, c.tests()[0].Failure)
	}
	var table, lcov bytes.Buffer
	PrintCoverage(&table, coverage.Files())
	if want := "\nfile             lines   ran        not run\nscripts/10.js        8     6   75%  6 13\nscripts/_lib.js      1     1  100%\nall                  9     7   77%\n"; table.String() != want {
		t.Errorf("got\n%s\nwant\n%s", table.String(), want)
	}
	if err := WriteLCOV(&lcov, "/base", coverage.Files()); err != nil {
		t.Fatal(err)
	}
	want := "TN:\nSF:/base/scripts/10.js\nDA:5,1\nDA:6,0\nDA:7,3\nDA:8,3\nDA:9,1\nDA:10,1\nDA:12,1\nDA:13,0\nLF:8\nLH:6\nend_of_record\n" +
		"TN:\nSF:/base/scripts/_lib.js\nDA:2,3\nLF:1\nLH:1\nend_of_record\n"
	if lcov.String() != want {
		t.Errorf("got\n%s\nwant\n%s", lcov.String(), want)
	}
}
