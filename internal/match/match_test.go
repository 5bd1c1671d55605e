package match_test

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pmilter/internal/match"
)

// manyLong is more words than an automaton may have.
func manyLong() []string {
	list := make([]string, 1000)
	for i := range list {
		list[i] = strconv.Itoa(i) + strings.Repeat("abcdefghijklmnopqrstuvwxyz", 30)
	}
	return list
}

func words(list ...string) []match.Pattern {
	patterns := make([]match.Pattern, len(list))
	for i, w := range list {
		patterns[i].Text = w
	}
	return patterns
}

func compile(t testing.TB, patterns []match.Pattern, fold bool) *match.Matcher {
	t.Helper()
	m, err := match.New(patterns, fold)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestFind(t *testing.T) {
	mixed := append(words("he", "she", "hers", "Grüße", "€"), match.Pattern{Text: `(?i)\bfree\b`, Expression: true}, match.Pattern{Text: "^x", Expression: true})
	for _, tt := range []struct {
		patterns []match.Pattern
		fold     bool
		text     string
		want     []int
	}{
		{mixed, false, "ushers", []int{0, 1, 2}},
		{mixed, false, "USHERS", nil},
		{mixed, true, "USHERS and GRÜSSE", []int{0, 1, 2}},
		{mixed, true, "GRÜßE for FREE", []int{3, 5}},
		{mixed, false, "x\xff€", []int{4, 6}},
		{mixed, false, "", nil},
		{nil, false, "x", nil},
		{words("\xff\xfe"), false, "a\xff\xfeb", []int{0}},
		{words("same", "same"), false, "the same", []int{0, 1}},
		{words("kelvin"), true, "\u212aelvin", []int{0}},
	} {
		m := compile(t, tt.patterns, tt.fold)
		if got := m.Find([]byte(tt.text), nil); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %v, want %v", tt.text, got, tt.want)
		}
		if got := m.Test([]byte(tt.text), nil); got != (len(tt.want) > 0) {
			t.Errorf("%q: %v", tt.text, got)
		}
	}
}

// TestAcrossChunks: a word is found wherever it lies, and short words inside it.
func TestAcrossChunks(t *testing.T) {
	nested := words("a", "aa", "aaa", "aaaa", "aaaab", "needle")
	m := compile(t, nested, false)
	for at := 16_000; at < 17_000; at += 41 {
		text := strings.Repeat("a", at) + "needle" + strings.Repeat(".", 20_000)
		if got := m.Find([]byte(text), nil); !slices.Equal(got, []int{0, 1, 2, 3, 5}) {
			t.Fatalf("at %d: %v", at, got)
		}
	}
}

func TestStop(t *testing.T) {
	m := compile(t, append(words("zz"), match.Pattern{Text: "x", Expression: true}), false)
	if m.Test([]byte("x"), func() bool { return true }) {
		t.Error("it went on")
	}
}

func TestRefuses(t *testing.T) {
	for want, patterns := range map[string][]match.Pattern{
		"an empty word":       words("a", ""),
		"at most 100000":      words(make([]string, 100_001)...),
		"are too many":        words(manyLong()...),
		"at most 1024":        words(strings.Repeat("x", 1025)),
		"missing closing ]":   {{Text: "[", Expression: true}},
		"invalid or unsuppor": {{Text: "(?=x)", Expression: true}},
	} {
		if _, err := match.New(patterns, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestCache(t *testing.T) {
	c := match.NewCache()
	get := func(fold bool, patterns ...match.Pattern) *match.Matcher {
		m, err := c.Matcher(patterns, fold)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	one := get(false, words("a", "b")...)
	if one != get(false, words("a", "b")...) {
		t.Error("compiled twice")
	}
	if one == get(true, words("a", "b")...) || one == get(false, words("ab")...) || one == get(false, words("b", "a")...) ||
		one == get(false, match.Pattern{Text: "a", Expression: true}, match.Pattern{Text: "b"}) {
		t.Error("taken for another")
	}
	for i := range 200 {
		get(false, words(strings.Repeat("x", i+1))...)
	}
	if one == get(false, words("a", "b")...) {
		t.Error("kept for ever")
	}
}

func FuzzFind(f *testing.F) {
	f.Add("he,she,hers,ü", "ushers Ü", true)
	f.Fuzz(func(t *testing.T, list, text string, fold bool) {
		patterns := words(strings.Split(list, ",")...)
		m, err := match.New(patterns, fold)
		if err != nil {
			return
		}
		found := m.Find([]byte(text), nil)
		for i, p := range patterns {
			want := strings.Contains(text, p.Text)
			if fold && utf8.ValidString(text) && utf8.ValidString(p.Text) {
				want = regexp.MustCompile("(?i)" + regexp.QuoteMeta(p.Text)).MatchString(text)
			} else if fold {
				continue
			}
			if slices.Contains(found, i) != want {
				t.Errorf("%q in %q: %v", p.Text, text, !want)
			}
		}
	})
}

// thousand is 1,000 words, and 64 KiB of text made of other words.
func thousand() ([]match.Pattern, []byte) {
	random := rand.New(rand.NewPCG(1, 2))
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('a' + random.IntN(26))
		}
		return string(b)
	}
	var list []string
	for range 1000 {
		list = append(list, word(6+random.IntN(8)))
	}
	var text strings.Builder
	for text.Len() < 64<<10 {
		text.WriteString(word(2+random.IntN(9)) + " ")
	}
	return words(list...), []byte(text.String()[:64<<10])
}

func BenchmarkFind(b *testing.B) {
	patterns, text := thousand()
	for name, fold := range map[string]bool{"exact": false, "fold": true} {
		b.Run(name, func(b *testing.B) {
			m := compile(b, patterns, fold)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				m.Find(text, nil)
			}
		})
	}
}

func BenchmarkCached(b *testing.B) {
	patterns, _ := thousand()
	c := match.NewCache()
	for b.Loop() {
		if _, err := c.Matcher(patterns, false); err != nil {
			b.Fatal(err)
		}
	}
}
