package house

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layer is a package and what it may import of this repository (tests may more).
// The list goes from the top down: an import points to a later line only.
type layer struct {
	pkg string // its subfolders are part of it
	may []string
}

func layers() []layer {
	return []layer{
		{"cmd/pmilterd", []string{
			"internal/daemon", "internal/playground", "internal/mta", "internal/config", "internal/log",
			"internal/manual", "internal/span", // what --since reads
			"internal/load",             // bench
			"filter", "internal/milter", // what send, try and check show
			"scripts", // what init writes
		}},
		{"scripts", nil},     // types for editors, embedded
		{"integration", nil}, // only tests, of the real binary
		{"packaging", nil},   // only tests, of what is handed out
		{"docker", nil},      // only the test of the stack
		{"bench", []string{"internal/load", "internal/milter"}},
		{"internal/daemon", []string{
			"internal/jobs", "script", "filter", "internal/testbed", "internal/metrics", "internal/auth", "internal/playground", "internal/mta", "internal/queue", "internal/admin", "internal/store", "internal/decisions",
			"internal/config", "internal/milter", "internal/prefork", "internal/serving", "internal/event", "internal/log", "internal/spool",
			"internal/match", "internal/table",
			"internal/resolver", "internal/permit", "internal/reach", "internal/program", "internal/mailout", "internal/maildir",
		}},
		{"internal/serving", []string{"internal/prefork"}},
		{"internal/jobs", []string{"script", "internal/queue", "internal/prefork", "internal/event"}},
		{"internal/testbed", []string{"script", "filter", "internal/mta", "internal/milter", "internal/event"}},
		{"internal/metrics", []string{"filter", "internal/admin"}}, // whose meter it is, and whose figures
		{"script", []string{"filter", "internal/event", "internal/span"}},
		{"filter", []string{"internal/milter", "internal/mail", "internal/mailedit"}},
		{"internal/playground", []string{"internal/mta", "internal/milter", "internal/maildir"}},
		{"internal/mta", []string{"internal/milter"}},
		{"internal/load", []string{"internal/milter"}},
		{"internal/auth", []string{"internal/mail"}}, // who From names
		{"internal/queue", []string{"internal/event"}},
		{"internal/admin", nil},
		{"internal/decisions", nil},
		{"internal/resolver", nil},
		{"internal/program", []string{"internal/permit"}},
		{"internal/mailout", []string{"internal/permit"}},
		{"internal/reach", []string{"internal/permit"}},
		{"internal/config", []string{"internal/milter", "internal/permit", "internal/store", "internal/span"}}, // to check addresses
		{"internal/permit", nil},
		{"internal/store", nil},
		{"internal/milter", nil},
		{"internal/mailedit", []string{"internal/mail"}},
		{"internal/mail", nil},
		{"internal/prefork", nil},
		{"internal/event", nil},
		{"internal/manual", nil},
		{"internal/span", nil},
		{"internal/log", nil},
		{"internal/match", nil},
		{"internal/table", nil},
		{"internal/maildir", nil},
		{"internal/spool", nil},
		{"internal/sendmailtest", []string{"internal/postfixtest"}}, // its sink and client
		{"internal/redistest", []string{"internal/postfixtest"}},    // its ports
		{"internal/postfixtest", nil},
		{"internal/house", nil},
	}
}

// owned is what only some packages may import, however deep; their tests and
// those of others may use what is marked so.
type owned struct {
	prefix string
	by     []string
	tests  bool // any test, too
}

func owners() []owned {
	return []owned{
		{"github.com/dop251/goja", []string{"script"}, false},
		{"github.com/dlclark/regexp2", []string{"script"}, false},
		{"github.com/evanw/esbuild", []string{"script"}, false},
		{"github.com/emersion/go-milter", []string{"internal/milter", "filter", "internal/mta", "internal/load", "bench"}, true},
		{"github.com/emersion/go-smtp", []string{"internal/playground", "internal/mailout"}, true},
		{"github.com/emersion/go-message", []string{"internal/mail"}, true},
		{"github.com/emersion/go-msgauth", []string{"internal/auth"}, true},
		{"blitiri.com.ar/go/spf", []string{"internal/auth"}, true},
		{"github.com/fsnotify/fsnotify", []string{"script", "internal/daemon", "internal/queue"}, false},
		{"github.com/pelletier/go-toml", []string{"internal/config"}, false},
		{"github.com/spf13/cobra", []string{"cmd"}, false},
		{"github.com/redis/go-redis", []string{"internal/store"}, true},
		{"go.etcd.io/bbolt", []string{"internal/store"}, true},
		{"github.com/prometheus", []string{"internal/metrics"}, true},
		{"google.golang.org/protobuf", []string{"internal/metrics"}, true},
		{"testing", []string{"internal/postfixtest", "internal/redistest", "internal/sendmailtest", "internal/mta/miltertest"}, true},
	}
}

// ignorance is what a package must not know of: the last column of the design's
// table, in the words of Go. A name that ends with a slash refuses what is below
// it only.
func ignorance() map[string][]string {
	return map[string][]string{
		"filter":           {"os", "os/", "io/fs", "net", "net/http", "syscall", "golang.org/x/sys"},
		"script":           {"net", "net/http", "os/exec", "os/signal"},
		"internal/milter":  {"os/exec", "net/http"},
		"internal/config":  {"net", "os/exec"},
		"internal/mail":    {"os", "os/", "io/fs", "net", "net/", "syscall"},
		"internal/prefork": {"github.com/", "go.uber.org/", "golang.org/"},
	}
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	for _, f := range readSource(t) {
		l, ok := layerOf(f.pkg)
		if !ok {
			t.Errorf("%s: package %s has no line in layers(): say what it may import", f.name, f.pkg)
			continue
		}
		for _, imported := range importsOf(f) {
			house, ok := strings.CutPrefix(imported, module+"/")
			if !ok || within(house, l.pkg) {
				continue
			}
			switch {
			case within(house, "cmd"):
				t.Errorf("%s: imports %s: nobody imports a command", f.name, imported)
			case f.test:
			case strings.HasSuffix(house, "test") && !strings.HasSuffix(f.pkg, "test"):
				t.Errorf("%s: imports %s, which is for tests", f.name, imported)
			case !slices.ContainsFunc(l.may, func(p string) bool { return within(house, p) }):
				t.Errorf("%s: %s may not import %s", f.name, l.pkg, house)
			}
		}
	}
}

// TestLayersAreInOrder keeps the table itself honest.
func TestLayersAreInOrder(t *testing.T) {
	t.Parallel()
	all := layers()
	for i, l := range all {
		for _, p := range l.may {
			if !slices.ContainsFunc(all[i+1:], func(lower layer) bool { return lower.pkg == p }) {
				t.Errorf("%s may import %s, which is not below it", l.pkg, p)
			}
		}
	}
}

func TestOwnedImports(t *testing.T) {
	t.Parallel()
	for _, f := range readSource(t) {
		for _, imported := range importsOf(f) {
			for _, o := range owners() {
				mine := slices.ContainsFunc(o.by, func(p string) bool { return within(f.pkg, p) })
				if within(imported, o.prefix) && !mine && (!f.test || !o.tests) {
					t.Errorf("%s: imports %s, which belongs to %s", f.name, imported, strings.Join(o.by, ", "))
				}
			}
			if f.test {
				continue
			}
			for pkg, refused := range ignorance() {
				if within(f.pkg, pkg) && slices.ContainsFunc(refused, func(r string) bool {
					return imported == r || strings.HasSuffix(r, "/") && strings.HasPrefix(imported, r) ||
						strings.Contains(r, ".") && within(imported, r)
				}) {
					t.Errorf("%s: imports %s, of which %s must not know", f.name, imported, pkg)
				}
			}
		}
	}
}

func importsOf(f sourceFile) (paths []string) {
	for _, spec := range f.ast.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

func layerOf(pkg string) (layer, bool) {
	for _, l := range layers() {
		if within(pkg, l.pkg) {
			return l, true
		}
	}
	return layer{}, false
}

// within tells whether pkg is folder or below it.
func within(pkg, folder string) bool {
	return pkg == folder || strings.HasPrefix(pkg, folder+"/")
}
