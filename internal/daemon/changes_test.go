package daemon

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pmilter/internal/config"
)

// leaves are the names of a struct's fields, with those of structs of this package's in it.
func leaves(t reflect.Type, prefix string) (list []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type.Kind() == reflect.Struct {
			list = append(list, leaves(f.Type, prefix+f.Name+".")...)
			continue
		}
		list = append(list, prefix+f.Name)
	}
	return list
}

// TestSettingsAreDecided: each setting there is has a line in settings, and no other.
func TestSettingsAreDecided(t *testing.T) {
	want := leaves(reflect.TypeFor[config.Config](), "")
	var got []string
	for _, s := range settings() {
		got = append(got, s.field)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("settings has\n%v\nthe configuration\n%v", got, want)
	}
}

// TestSettingsAreDocumented: docs/upgrades.md has each key with what a change of it needs.
func TestSettingsAreDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/upgrades.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings() {
		if s.changing != nothing && !strings.Contains(string(data), fmt.Sprintf("| `%s` | %s |", s.key, s.changing)) {
			t.Errorf("no row: | `%s` | %s |", s.key, s.changing)
		}
	}
}

// other is another value than v.
func other(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint32:
		v.SetUint(v.Uint() ^ 1)
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.New(v.Type().Elem()).Elem()))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]any{"x": 1}))
	default:
		t.Fatalf("a value of kind %s", v.Kind())
	}
}

// TestNeedRestart: a change of any setting is named if it needs a restart, and else not.
func TestNeedRestart(t *testing.T) {
	for _, s := range settings() {
		started, changed := config.Default(), config.Default()
		other(t, s.of(changed))
		var want []string
		if s.changing == restart || s.changing == lowered || s.changing == among {
			want = []string{s.key}
		}
		if got := needRestart(started, changed); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", s.field, got, want)
		}
		if got := needRestart(changed, started); s.changing == lowered && len(got) > 0 {
			t.Errorf("%s lowered: %v", s.field, got)
		}
	}
}

// TestNeedRestartOfAFleet: with serving processes their number changes, but not to none,
// and what is listened on does not.
func TestNeedRestartOfAFleet(t *testing.T) {
	started := config.Default()
	started.Milter.Workers = 2
	for workers, want := range map[int][]string{0: {"milter.workers"}, 1: nil, 2: nil, 3: nil} {
		changed := *started
		changed.Milter.Workers, changed.Milter.MaxConnections, changed.Milter.DrainTimeout = workers, 7, 7
		if got := needRestart(started, &changed); !slices.Equal(got, want) {
			t.Errorf("%d: %v, want %v", workers, got, want)
		}
	}
	changed := *started
	changed.Listen = []string{"inet:1"}
	if got := needRestart(started, &changed); !slices.Equal(got, []string{"listen"}) {
		t.Error(got)
	}
}

// TestReloadOfLimits: those of connections change while it serves.
func TestReloadOfLimits(t *testing.T) {
	s := one(t, `export function mail() {}`, func(c *config.Config) { c.Milter.MaxConnections = 1 })
	first, _ := negotiated(t, s)
	second, err := s.e.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	next := *s.cfg
	next.Milter.MaxConnections = 3
	if err := s.e.configure(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	_ = second.SetWriteDeadline(time.Now().Add(plenty))
	if _, err := second.Write([]byte{0}); err != nil {
		t.Errorf("%v: the second is not served", err)
	}
	_ = first.SetReadDeadline(time.Now().Add(plenty))
	next.Milter.IdleTimeout = time.Second
	next.Milter.DrainTimeout = 10 * time.Millisecond
	if err := s.e.configure(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	third, _ := negotiated(t, s) // the third of three
	_ = third.SetReadDeadline(time.Now().Add(plenty))
	if _, err := third.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("%v: an idle connection is not closed", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.e.server.Shutdown(t.Context()) }()
	if _, err := first.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("%v: draining has not ended", err)
	}
	_ = first.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
