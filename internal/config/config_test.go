package config

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func env(kv ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(kv); i += 2 {
			if kv[i] == name {
				return kv[i+1], true
			}
		}
		return "", false
	}
}

// TestGolden reads testdata/*.toml, which are wrong in many ways, and compares
// all that is said about them with *.want.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			var got strings.Builder
			config, err := Load(file, env("EMPTY", "", "SECRET", "s3cret"))
			if err != nil {
				if _, ok := err.(Errors); !ok { //nolint:errorlint // the very type is promised
					t.Fatalf("an error that is not an Errors: %v", err)
				}
				got.WriteString(err.Error() + "\n")
			} else if len(config.Warnings) > 0 {
				got.WriteString("warnings:\n" + config.Warnings.Error() + "\n")
			}
			golden := strings.TrimSuffix(file, ".toml") + ".want"
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", &got, want)
			}
		})
	}
}

// TestLoadAll sets each key to something else than its default.
func TestLoadAll(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "p.toml")
	write(t, file, `
listen  = ["inet:8890@127.0.0.1", "unix:run/sock", 'local:/run/x']
scripts = ["a.js", "/abs/b", "${DIR}/c", "x/../d"]
[server]
runtime = "run"
state = "var"
[store]
url = "file:${GROUP}store.db"
[decisions]
max_size = "5MiB"
keep     = "1d12h"
[milter]
socket_mode     = "0600"
socket_group    = "${GROUP:-postfix}"
max_connections = 1_000
idle_timeout    = "1d12h"
drain_timeout   = "0s"
workers         = 0
max_message     = 4096
spool_threshold = "2KiB"
oversize        = "tempfail"
[handler]
timeout     = "1500ms"
eom_timeout = "1m30s"
cpu         = "1s"
memory      = "1GiB"
max_value   = "64MB"
on_error    = "accept"
[dns]
servers = ["192.0.2.53", "[2001:db8::53]:5353", "ns.example.org:53"]
timeout = "1s"
[permissions]
maildir = "archive"
net  = ["api.example.org:443", "*.example.net", "unix:/run/x.sock", "10.0.0.0/8", "${HOST:-x}"]
exec = "/usr/bin/spamc"
[vars]
secret = "<${SECRET}>"
list = [1, 2.5, true, "${SECRET}", [{ a = "$${x}" }]]
day = 2026-01-02
[vars.deep.er]
x = 0xff
[[vars.hosts]]
name = "a"
[[vars.hosts]]
name = "b"
[log]
level  = "debug"
format = "json"
`)
	got, err := Load(file, env("DIR", "/srv", "SECRET", "${DIR}", "GROUP", ""))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		File:      file,
		Listen:    []string{"inet:8890@127.0.0.1", "unix:" + folder + "/run/sock", "local:/run/x"},
		Scripts:   []string{folder + "/a.js", "/abs/b", "/srv/c", folder + "/d"},
		Server:    Server{Runtime: folder + "/run", State: folder + "/var"},
		Store:     Store{URL: "file:" + folder + "/store.db"},
		Decisions: Decisions{MaxSize: 5 << 20, Keep: 36 * time.Hour},
		Milter: Milter{
			SocketMode: 0o600, SocketGroup: "postfix", MaxConnections: 1000, IdleTimeout: 36 * time.Hour,
			MaxMessage: 4096, SpoolThreshold: 2048, Oversize: Tempfail,
		},
		Handler: Handler{
			Timeout: 1500 * time.Millisecond, EOMTimeout: 90 * time.Second, CPU: time.Second,
			Memory: 1 << 30, MaxValue: 64e6, OnError: Accept,
		},
		Log: Log{Level: "debug", Format: "json"},
		DNS: DNS{Servers: []string{"192.0.2.53:53", "[2001:db8::53]:5353", "ns.example.org:53"}, Timeout: time.Second},
		Permissions: Permissions{
			Net:  []string{"api.example.org:443", "*.example.net", "unix:/run/x.sock", "10.0.0.0/8", "x"},
			Exec: []string{"/usr/bin/spamc"}, Maildir: []string{folder + "/archive"},
		},
		Vars: map[string]any{
			"secret": "<${DIR}>",
			"list":   []any{int64(1), 2.5, true, "${DIR}", []any{map[string]any{"a": "${x}"}}},
			"day":    "2026-01-02",
			"deep":   map[string]any{"er": map[string]any{"x": int64(255)}},
			"hosts":  []any{map[string]any{"name": "a"}, map[string]any{"name": "b"}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// TestEmptyFileIsDefault: a file that says nothing is Default but for the folder.
func TestEmptyFileIsDefault(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "\n# nothing\n", "[milter]\n[server]\n", "\ufeff"} {
		file := filepath.Join(t.TempDir(), "p.toml")
		write(t, file, content)
		got, err := Load(file, env())
		if err != nil {
			t.Fatal(err)
		}
		want := Default()
		want.File = file
		want.Scripts = []string{filepath.Join(filepath.Dir(file), "scripts")}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got\n%+v\nwant\n%+v", content, got, want)
		}
	}
}

func TestScriptsForms(t *testing.T) {
	t.Parallel()
	tests := []struct {
		toml string
		want []string
	}{
		{`scripts = []`, []string{}},
		{`scripts = "x.js"`, []string{"/etc/p/x.js"}},
		{`scripts = ["x.js"]`, []string{"/etc/p/x.js"}},
		{`scripts = "/x"`, []string{"/x"}},
	}
	for _, tt := range tests {
		c, faults := parse([]byte(tt.toml), "p.toml", "/etc/p", env())
		if len(faults) > 0 || !reflect.DeepEqual(c.Scripts, tt.want) {
			t.Errorf("%s: got %q %v, want %q", tt.toml, c.Scripts, faults, tt.want)
		}
	}
}

func TestLoadUnreadable(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if _, err := Load(filepath.Join(folder, "no.toml"), env()); err == nil || !strings.Contains(err.Error(), "no.toml") {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Load(folder, env()); err == nil {
		t.Error("a folder is read as a file")
	}
	big := filepath.Join(folder, "big.toml")
	write(t, big, strings.Repeat("#\n", maxFile))
	if _, err := Load(big, env()); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("big file: %v", err)
	}
}

func TestFind(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	if path, ok := Find(env("PMILTER_CONFIG", "/x/y")); !ok || path != "/x/y" {
		t.Errorf("environment: %q %v", path, ok)
	}
	system := "/etc/pmilter/pmilter.toml"
	if _, err := os.Stat(system); err != nil {
		if path, ok := Find(env("PMILTER_CONFIG", "")); ok {
			t.Errorf("nothing there: %q", path)
		}
	}
	write(t, "pmilter.toml", "")
	if path, ok := Find(env()); !ok || path != "pmilter.toml" {
		t.Errorf("here: %q %v", path, ok)
	}
}

func TestSchemaNamesEachKeyOnce(t *testing.T) {
	t.Parallel()
	l := &loader{source: newSource("", nil), config: Default()}
	paths := map[string]bool{}
	for _, k := range l.schema() {
		if paths[k.path] || k.set == nil {
			t.Errorf("%s is there twice or does nothing", k.path)
		}
		paths[k.path] = true
	}
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	good := map[string]int64{
		"0": 0, "1": 1, "17B": 17, "512KiB": 512 << 10, "100MiB": 100 << 20, "2GiB": 2 << 30, "1TiB": 1 << 40,
		"64MB": 64e6, "1kB": 1000, "1KB": 1000, "3GB": 3e9, "1TB": 1e12, "100 MiB": 100 << 20,
		"9223372036854775807": 1<<63 - 1,
	}
	for s, want := range good {
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("%q: got %d %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", "MiB", "-1", "+1", "1.5GiB", "1M", "1mb", "1 0", "0x10", "1KiBB", "9223372036854775808", "9007199254740993TiB", " 1",
	} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("%q is taken as %d", s, got)
		}
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	vars := env("A", "1", "EMPTY", "", "L", "${A}", "_x9", "y")
	good := map[string]string{
		"": "", "plain $A $ }": "plain $A $ }", "${A}": "1", "x${A}y${A}z": "x1y1z", "${EMPTY}": "",
		"${EMPTY:-d}": "d", "${NO:-d:-e}": "d:-e", "${NO:-}": "", "${A:-d}": "1", "${L}": "${A}", "$${A}": "${A}",
		"${_x9}": "y",
	}
	for s, want := range good {
		if got, err := expand(s, vars); err != nil || got != want {
			t.Errorf("%q: got %q %v, want %q", s, got, err, want)
		}
	}
	for _, s := range []string{"${NO}", "${", "${A", "${}", "${:-x}", "${A-x}", "${9}", "${A b}", "${ä}"} {
		if got, err := expand(s, vars); err == nil {
			t.Errorf("%q is taken as %q", s, got)
		}
	}
}

func TestSocketModes(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]fs.FileMode{"0660": 0o660, "600": 0o600, "0777": 0o777} {
		c, faults := parse([]byte(`milter.socket_mode = "`+s+`"`), "p.toml", "/", env())
		if len(faults) > 0 || c.Milter.SocketMode != want {
			t.Errorf("%q: %v %v", s, c.Milter.SocketMode, faults)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// FuzzParse: no panic, and each fault names a place in the file. What is
// accepted is possible.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.toml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("a.b=[{c=[1,2"))
	f.Add([]byte("[[vars.x]]\n[vars.x.y]\n[[vars.x]]\nz.a={}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, faults := parse(data, "p.toml", "/etc", env("A", "1"))
		lines := 1 + strings.Count(string(data), "\n")
		for _, fault := range faults {
			if fault.Line < 1 || fault.Line > lines || fault.Column < 1 || fault.Message == "" {
				t.Errorf("fault without a place: %+v", fault)
			}
		}
		if len(faults) > 0 {
			return
		}
		if len(c.Listen) == 0 || c.Handler.Timeout <= 0 || c.Handler.EOMTimeout <= 0 || c.Handler.CPU <= 0 ||
			c.Milter.MaxConnections <= 0 || c.Milter.MaxMessage <= 0 || c.Handler.MaxValue > c.Handler.Memory {
			t.Errorf("impossible: %+v", c)
		}
	})
}

func TestStoreURL(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "p.toml")
	for url, want := range map[string]string{
		"memory:": "memory:", "file:": "file:", "file:/a/../b.db": "file:/b.db", "file:b.db": "file:" + folder + "/b.db",
		"redis://:${SECRET}@h:6379/1": "redis://:s3cret@h:6379/1", "rediss://h": "rediss://h", "redis+unix:///r": "redis+unix:///r",
		"redis://:${SECRET}@h/x": "", "mysql://${SECRET}": "", "": "", "file:x/": "",
	} {
		write(t, file, "[store]\nurl = \""+url+"\"\n")
		got, err := Load(file, env("SECRET", "s3cret"))
		switch {
		case want == "" && (err == nil || !strings.Contains(err.Error(), "p.toml:2:7: store.url: not ") && !strings.Contains(err.Error(), "path of a file")):
			t.Errorf("%q: %v", url, err)
		case want == "" && strings.Contains(err.Error(), "s3cret"):
			t.Errorf("%q: tells the password: %v", url, err)
		case want != "" && (err != nil || got.Store.URL != want):
			t.Errorf("%q is %+v %v, want %q", url, got, err, want)
		}
	}
}
