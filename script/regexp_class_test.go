package script

import (
	"strings"
	"testing"
	"unicode"

	"github.com/dop251/goja"
)

func TestRewritePattern(t *testing.T) {
	rt := goja.New()
	for _, c := range []struct {
		pattern, flags, yes, no string // yes and no: characters that each match, or not, from the first to the last
	}{
		{`^\p{L}$`, "u", "aÄжع漢", "1 -\U0001F600"},
		{`^\P{L}$`, "u", "1 -\U0001F600", "aÄжع漢"},
		{`^[\p{Lu}\d_]$`, "u", "AÄ5_", "aä-"},
		{`^[^\p{Lu}\d]$`, "u", "aä-\U0001F600", "AÄ5"},
		{`^[\P{L}x]$`, "u", "1x-", "aä"},
		{`^\p{Script=Cyrillic}$`, "u", "жЖ", "zä"},
		{`^\p{sc=Grek}$`, "u", "αΩ", "az"},
		{`^\p{scx=Han}$`, "u", "漢", "a"},
		{`^\p{gc=Decimal_Number}$`, "u", "1٣", "ax"},
		{`^\p{Uppercase_Letter}$`, "u", "AÄ", "aä"},
		{`^\p{Lu}$`, "iu", "aAäÄ", "1"},
		{`^\P{Lu}$`, "iu", "aA1", ""},
		{`^\p{Alphabetic}$`, "u", "aⅧ", "1"},
		{`^\p{White_Space}$`, "u", " \u00a0", "a"},
		{`^\p{ASCII}$`, "u", "a\x7f", "ä"},
		{`^\p{Any}$`, "u", "a\U0010ffff", ""},
		{`^\P{Any}$`, "u", "", "aä"},
		{`^[\P{Any}b]$`, "u", "b", "a"},
		{`^\p{Assigned}$`, "u", "a", "\u0378"},
		{`^\p{Cn}$`, "u", "\u0378", "a"},
		{`^\p{ID_Start}$`, "u", "aä", "1-"},
		{`^\p{ID_Continue}$`, "u", "a1", "-"},
		{`^\p{Cased}$`, "u", "aA", "漢"},
		{`^\p{Sc}$`, "u", "$€", "a"},
		{`^(?!x)\p{L}(?<!y)$`, "u", "aä", "xy1"}, // by the backtracking engine
		{`^\\p{L}$`, "u", "", "a"},               // an escaped backslash, then p{L}... which u refuses: see below
		{`^[\p{L}-]$`, "u", "a-", "1"},
		{`^[-\p{L}]$`, "u", "a-", "1"},
		{`^\p{L}$`, "", "", "aä"}, // without u: the letter p, as in JavaScript
	} {
		if c.pattern == `^\\p{L}$` {
			if got, err := rewritePattern(c.pattern, c.flags); err != nil || got != c.pattern {
				t.Errorf("%s became %s, %v", c.pattern, got, err)
			}
			continue
		}
		pattern, err := rewritePattern(c.pattern, c.flags)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		re, err := rt.New(rt.Get("RegExp"), rt.ToValue(pattern), rt.ToValue(c.flags))
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		test, _ := goja.AssertFunction(re.Get("test"))
		check := func(characters string, want bool) {
			for _, r := range characters {
				got, err := test(re, rt.ToValue(string(r)))
				if err != nil || got.ToBoolean() != want {
					t.Errorf("/%s/%s on %q: %v, %v", c.pattern, c.flags, r, got, err)
				}
			}
		}
		check(c.yes, true)
		check(c.no, false)
	}
}

func TestRewritePatternRefuses(t *testing.T) {
	for _, c := range []struct{ pattern, flags, want string }{
		{`a`, "v", "v flag"},
		{`\p{Nope}`, "u", `\p{Nope}`},
		{`\p{Emoji}`, "u", `[\u{1F300}-\u{1FAFF}]`},
		{`\p{l}`, "u", `\p{l}`},
		{`\p{Script=Nope}`, "u", `\p{Script=Nope}`},
		{`\p{Foo=L}`, "u", `\p{Foo=L}`},
		{`\p`, "u", "Invalid property name"},
		{`\pL`, "u", "Invalid property name"},
		{`\p{L`, "u", "Invalid property name"},
		{`[\p{L}-z]`, "u", "range"},
		{`[a-\p{L}]`, "u", "range"},
		{strings.Repeat("a", 64<<10+1), "", "64 KiB"},
		{strings.Repeat(`\p{L}`, 13000), "u", "too many"},
	} {
		got, err := rewritePattern(c.pattern, c.flags)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.20s: %.40s, %v, want an error with %q", c.pattern, got, err, c.want)
		}
	}
	if _, err := rewritePattern(strings.Repeat("a", 64<<10), "u"); err != nil {
		t.Error(err)
	}
}

// The sets are those of Go's tables, character by character.
func TestPropertySets(t *testing.T) {
	for name, table := range unicode.Categories {
		set, ok := propertySet(name)
		if !ok {
			t.Errorf("no %s", name)
			continue
		}
		inside, outside := 0, set.not()
		for _, r := range set {
			inside += int(r[1]-r[0]) + 1
		}
		for _, r := range outside {
			inside += int(r[1]-r[0]) + 1
		}
		if inside != unicode.MaxRune+1 {
			t.Errorf("%s and its complement have %d characters", name, inside)
		}
		for c := rune(0); c < 0x3000; c++ {
			if unicode.Is(table, c) != set.has(c) || set.has(c) == outside.has(c) {
				t.Fatalf("%s: %U is wrong", name, c)
			}
		}
	}
}

func (s charset) has(c rune) bool {
	for _, r := range s {
		if r[0] <= c && c <= r[1] {
			return true
		}
	}
	return false
}

func TestPropertyNames(t *testing.T) {
	full := map[string]bool{}
	for short, name := range scriptAliases() {
		if unicode.Scripts[name] == nil {
			t.Errorf("%s: Go has no script %s", short, name)
		}
		full[name] = true
	}
	for name := range unicode.Scripts {
		if !full[name] && len(name) > 4 {
			t.Errorf("script %s has no short name", name)
		}
	}
	for short, name := range binaryAliases() {
		if unicode.Properties[name] == nil {
			t.Errorf("%s: Go has no property %s", short, name)
		}
	}
	for _, name := range []string{
		"Other_Alphabetic", "Other_Lowercase", "Other_Uppercase", "Other_Math", "Other_ID_Start", "Other_ID_Continue", "Other_Grapheme_Extend",
	} {
		if unicode.Properties[name] == nil {
			t.Errorf("Go has no property %s", name)
		}
	}
}

func TestRegexpLiteralsOfScripts(t *testing.T) {
	b := loaded(t, map[string]string{"scripts/a.ts": `
const one = /^\p{Lu}+$/u, two = /x/, three = /[\p{Nd}\/]\p{L}/gu; export const list = () => [one.test("ÄÖ"), one.test("ä"), "٣ä".replace(three, "hit"), two.test("x"), three.flags].join();
export class C { static r = /^\P{L}$/u; m(x: string) { return x.match(/^[^\p{L}]\p{L}/u) } }
export const inClass = () => [C.r.test("1"), C.r.test("a"), !!new C().m("1ä")].join();
export const tpl = () => ` + "`${/\\p{L}/u.test('ж')}`" + `;
export const withoutU = () => /^\p{2}$/.test("pp");
`})
	r := run(t, b, nil)
	for name, want := range map[string]string{
		"list": "true,false,hit,true,gu", "inClass": "true,false,true", "tpl": "true", "withoutU": "true",
	} {
		if got := r.string(0, name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}
