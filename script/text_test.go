package script

import (
	"strings"
	"testing"

	"github.com/dop251/goja"
)

func TestTextBytesToJavaScript(t *testing.T) {
	rt := goja.New()
	for in, want := range map[string]string{
		"":                 "",
		"plain":            "70 6c 61 69 6e",
		"é€":               "e9 20ac",
		"😀":                "d83d de00",
		"\xe9":             "dce9",
		"a\xff\x80b":       "61 dcff dc80 62",
		"\xed\xb2\x80":     "dced dcb2 dc80", // a surrogate in UTF-8 is not valid
		"\xf0\x9f\x98":     "dcf0 dc9f dc98", // cut short
		"\xc3\xa9\xc3":     "e9 dcc3",
		"\xf4\x90\x80\x80": "dcf4 dc90 dc80 dc80",
		"\xef\xbf\xbd":     "fffd",
		"\x00\r\n":         "0 d a",
	} {
		if err := rt.Set("s", textValue(rt, in)); err != nil {
			t.Fatal(err)
		}
		v, err := rt.RunString(`s.split("").map(c => c.charCodeAt(0).toString(16)).join(" ")`)
		if err != nil {
			t.Fatal(err)
		}
		if v.String() != want {
			t.Errorf("%q: got %s, want %s", in, v, want)
		}
		if back := textBytes(textValue(rt, in).(goja.String)); back != in {
			t.Errorf("%q came back as %q", in, back)
		}
	}
}

func TestTextBytesFromJavaScript(t *testing.T) {
	rt := goja.New()
	for src, want := range map[string]string{
		`"abc"`:                      "abc",
		`"\udce9"`:                   "\xe9",
		`"\ud83d\ude00"`:             "😀",
		`"\ud83d"`:                   "\ufffd",
		`"\ude00x"`:                  "\ufffdx",
		`"\ud83d\ud83d\ude00"`:       "\ufffd😀",
		`"\udc7f\udd00"`:             "\ufffd\ufffd",
		`"\ufffd\udcff"`:             "\ufffd\xff",
		`"\udcc3\udca9"`:             "é",
		`"é".repeat(2) + "\udc80"`:   "éé\x80",
		`("x\udcff" + "y").slice(1)`: "\xffy",
	} {
		v, err := rt.RunString(src)
		if err != nil {
			t.Fatal(err)
		}
		if got := textBytes(v.(goja.String)); got != want {
			t.Errorf("%s: got %q, want %q", src, got, want)
		}
	}
}

func FuzzTextRoundTrip(f *testing.F) {
	for _, s := range []string{"", "a", "é", "\xff", "\xed\xa0\xbd\xed\xb8\x80", "😀\x80", "\xef\xbf\xbd\xfe"} {
		f.Add(s)
	}
	rt := goja.New()
	f.Fuzz(func(t *testing.T, s string) {
		v := textValue(rt, s).(goja.String)
		if back := textBytes(v); back != s {
			t.Fatalf("%q came back as %q", s, back)
		}
		if v.Length() > len(s) || strings.ToValidUTF8(s, "") == s && v.String() != s {
			t.Fatalf("%q became %q", s, v)
		}
	})
}
