package house

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"pmilter/internal/config"
)

// docBlock is a fenced block of a document.
type docBlock struct {
	at    string // "docs/scripts.md:12"
	lang  string
	file  string // the second word after the fence: under which name it is a neighbour of the others
	text  string
	mails []string // of the comments "<!-- mail: ... -->" right before it
}

// documents is the names of all documents, from the top.
func documents(t *testing.T) []string {
	t.Helper()
	names := []string{"README.md", "CHANGELOG.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md", "docker/*.md", "packaging/*.md"} {
		found, err := filepath.Glob(filepath.Join(top(t), pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			name, err := filepath.Rel(top(t), f)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, filepath.ToSlash(name))
		}
	}
	return names
}

func readDocument(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(top(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// blocks are the fenced blocks of a document.
func blocks(t *testing.T, name string) []docBlock {
	t.Helper()
	mail := regexp.MustCompile(`^<!-- mail: (.*) -->$`)
	var all []docBlock
	var open *docBlock
	var mails []string
	indent := "" // of the open block, which may stand in a list
	for i, line := range strings.Split(readDocument(t, name), "\n") {
		bare := strings.TrimLeft(line, " ")
		info, fence := strings.CutPrefix(bare, "```")
		switch {
		case fence && open != nil:
			all = append(all, *open)
			open, mails = nil, nil
		case fence:
			lang, file, _ := strings.Cut(info, " ")
			indent = line[:len(line)-len(bare)]
			open = &docBlock{at: fmt.Sprintf("%s:%d", name, i+1), lang: lang, file: file, mails: mails}
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		default:
			if m := mail.FindStringSubmatch(bare); m != nil {
				mails = append(mails, m[1])
			} else if bare != "" {
				mails = nil
			}
		}
	}
	if open != nil {
		t.Errorf("%s: the block is never closed", open.at)
	}
	return all
}

// TestDocsLinks: what a document links to, or names as a file, is there.
func TestDocsLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, name := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(readDocument(t, name), -1) {
			if _, err := os.Stat(filepath.Join(top(t), filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s: links to %s, which is not there", name, m[1])
			}
		}
	}
}

// TestDocsPlaces: of `filter/conn.go` the file exists, of `filter/conn.go:Conn.Mail`
// the function or type too.
func TestDocsPlaces(t *testing.T) {
	t.Parallel()
	place := regexp.MustCompile("`([a-z0-9_/.-]+\\.(?:go|js|ts|toml|md|sh))(?::([A-Za-z0-9_.]+))?`")
	declared := map[string]bool{}
	for _, f := range readSource(t) {
		for _, d := range f.ast.Decls {
			for _, n := range declares(d) {
				declared[f.name+":"+n] = true
			}
		}
	}
	places := 0
	for _, name := range documents(t) {
		for _, m := range place.FindAllStringSubmatch(readDocument(t, name), -1) {
			file, what := m[1], m[2]
			if what != "" {
				places++
				if !declared[file+":"+what] {
					t.Errorf("%s: there is no %s:%s", name, file, what)
				}
				continue
			}
			// Examples name scripts of their own; what lies in a folder of ours must be there.
			folder, _, ok := strings.Cut(file, "/")
			if !ok || !strings.HasSuffix(file, ".go") && folder != "docs" {
				continue
			}
			if _, err := os.Stat(filepath.Join(top(t), file)); err != nil {
				t.Errorf("%s: there is no %s", name, file)
			}
		}
	}
	if places < 20 {
		t.Errorf("only %d places in the code are named: the expression is wrong", places)
	}
}

// declares is the names that a declaration brings: "Func", "Type", "Type.Method".
func declares(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil && len(d.Recv.List) == 1 {
			of := d.Recv.List[0].Type
			if star, ok := of.(*ast.StarExpr); ok {
				of = star.X
			}
			if id, ok := of.(*ast.Ident); ok {
				name = id.Name + "." + name
			}
		}
		names = append(names, name)
	case *ast.GenDecl:
		for _, s := range d.Specs {
			if s, ok := s.(*ast.TypeSpec); ok {
				names = append(names, s.Name.Name)
			}
		}
	}
	return names
}

// TestDocsMilterSections: what cites a section of docs/milter.md finds it there,
// and the tests that the document names exist.
func TestDocsMilterSections(t *testing.T) {
	t.Parallel()
	text := readDocument(t, "docs/milter.md")
	sections := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (\d+(?:\.\d+)?)\.? `).FindAllStringSubmatch(text, -1) {
		if sections[m[1]] {
			t.Errorf("docs/milter.md has two sections %s", m[1])
		}
		sections[m[1]] = true
	}
	tests := map[string]bool{}
	cited := regexp.MustCompile(`\bmilter §(\d+(?:\.\d+)?)`)
	for _, f := range readSource(t) {
		for _, group := range f.ast.Comments {
			for _, m := range cited.FindAllStringSubmatch(group.Text(), -1) {
				if !sections[m[1]] {
					t.Errorf("%s: docs/milter.md has no section %s", f.set.Position(group.Pos()), m[1])
				}
			}
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.test {
				tests[fn.Name.Name] = true
			}
		}
	}
	for _, m := range regexp.MustCompile(`\bTestTrap\d\d\w+`).FindAllString(text, -1) {
		if !tests[m] {
			t.Errorf("docs/milter.md: there is no test %s", m)
		}
	}
}

// TestDocsConfiguration: the README's table has every key, with its default.
func TestDocsConfiguration(t *testing.T) {
	t.Parallel()
	row := regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| `([^`]+)` \\|")
	var listed []string
	top, tables := "", map[string]string{}
	_, section, _ := strings.Cut(readDocument(t, "README.md"), "\n## Configuration\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, m := range row.FindAllStringSubmatch(section, -1) {
		table, key, ok := strings.Cut(m[1], ".")
		listed = append(listed, m[1])
		switch {
		case ok:
			tables[table] += key + " = " + m[2] + "\n"
		default:
			top += m[1] + " = " + m[2] + "\n"
		}
	}
	for table, keys := range tables {
		top += "[" + table + "]\n" + keys
	}
	file := filepath.Join(t.TempDir(), "pmilter.toml")
	if err := os.WriteFile(file, []byte(top), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(file, os.LookupEnv)
	if err != nil {
		t.Fatalf("%v\n%s", err, top)
	}
	want := config.Default()
	want.File, want.Scripts = got.File, []string{filepath.Join(filepath.Dir(file), "scripts")}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the README's defaults are\n%+v, the program's\n%+v", got, want)
	}
	want.Queues = defaultQueue(t, "")
	got.Queues = documentedQueue(t, section)
	if !reflect.DeepEqual(got.Queues, want.Queues) {
		t.Errorf("the README's queue is\n%+v, the program's\n%+v", got.Queues, want.Queues)
	}
	for _, key := range configKeys() {
		if !slices.Contains(listed, key) {
			t.Errorf("the README's table lacks %s", key)
		}
	}
}

// configKeys is the keys of pmilter.toml as config.Config has them.
func configKeys() (keys []string) {
	snake := func(s string) string {
		var b strings.Builder
		letters := []rune(s)
		for i, r := range letters {
			after := i > 0 && unicode.IsLower(letters[i-1])
			before := i > 0 && i+1 < len(letters) && unicode.IsLower(letters[i+1])
			if unicode.IsUpper(r) && (after || before) {
				b.WriteByte('_')
			}
			b.WriteRune(unicode.ToLower(r))
		}
		return b.String()
	}
	all := reflect.TypeFor[config.Config]()
	for i := range all.NumField() {
		f := all.Field(i)
		switch {
		case f.Name == "File" || f.Name == "Warnings" || f.Name == "Queues":
		case f.Type.Kind() == reflect.Struct:
			for j := range f.Type.NumField() {
				keys = append(keys, snake(f.Name)+"."+snake(f.Type.Field(j).Name))
			}
		default:
			keys = append(keys, snake(f.Name))
		}
	}
	return keys
}

// defaultQueue is a queue of which nothing is said but its Maildir.
func defaultQueue(t *testing.T, keys string) []config.Queue {
	t.Helper()
	file := write(t, t.TempDir(), "pmilter.toml", "[queue.x]\nmaildir = \"/x\"\njob = \"/job.js\"\n"+keys)
	c, err := config.Load(file, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return c.Queues
}

// documentedQueue is a queue with the README's defaults for all keys that a queue has.
func documentedQueue(t *testing.T, section string) []config.Queue {
	t.Helper()
	keys, listed := "", map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `queue\\.NAME\\.([a-z_]+)` \\| (`([^`]+)`|[a-z]+) \\|").FindAllStringSubmatch(section, -1) {
		listed[strings.ReplaceAll(m[1], "_", "")] = true
		if m[3] != "" {
			keys += m[1] + " = " + m[3] + "\n"
		}
	}
	all := reflect.TypeFor[config.Queue]()
	for i := range all.NumField() {
		if name := all.Field(i).Name; name != "Name" && !listed[strings.ToLower(name)] {
			t.Errorf("the README's table of queues lacks %s", name)
		}
	}
	return defaultQueue(t, keys)
}
