package script

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dop251/goja"
)

// FuzzJSONValue compares with the standard library, and with what stringify makes.
func FuzzJSONValue(f *testing.F) {
	for _, s := range []string{
		` { "a" : [ 1 , -2.5e3, true , false, null ] , "" : { } } `, `"\ud83d\ude00\udc80\n\/"`, "\"\xff\"", `[[],[[]]]`, `-0`, `1e400`,
		`9007199254740993`, `{"__proto__":1,"a":2,"a":3}`, `"\u00e9é"`, strings.Repeat("[", 1002) + strings.Repeat("]", 1002),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rt := goja.New()
		v, err := jsonValue(rt, data)
		var want any
		libraryErr := json.Unmarshal(data, &want)
		if err != nil {
			if libraryErr == nil && !strings.Contains(err.Error(), "nested deeper") {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		w := &jsonWriter{jsonGuard: &jsonGuard{rt: rt, maxValue: 1 << 30, maxLen: 1 << 30}}
		if !w.property("", nil, v) {
			t.Fatalf("%q cannot be written", data)
		}
		again, err := jsonValue(rt, w.out)
		if err != nil {
			t.Fatalf("%q: %v", w.out, err)
		}
		twice := &jsonWriter{jsonGuard: &jsonGuard{rt: rt, maxValue: 1 << 30, maxLen: 1 << 30}}
		if twice.property("", nil, again); string(twice.out) != string(w.out) {
			t.Fatalf("%q, then %q", w.out, twice.out)
		}
		// Where the library loses nothing, it reads the same.
		var got any
		lossy := strings.Contains(string(w.out), `\ud`) || strings.ContainsRune(string(w.out), utf8.RuneError) || !utf8.Valid(data)
		if !lossy && libraryErr == nil && (json.Unmarshal(w.out, &got) != nil || !reflect.DeepEqual(got, want)) {
			t.Fatalf("%q is %q", data, w.out)
		}
	})
}
