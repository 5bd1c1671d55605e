package filter_test

import (
	"strings"
	"testing"

	"pmilter/filter"
)

func TestSettledList(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                            "",
		" a@b":                        " a@b",
		" a@b,c@d":                    " a@b, c@d",
		"a@b ,\tc@d,\n d@e , f@g":     "a@b,\tc@d,\n d@e, f@g",
		`"x ,y" <a@b> ,(c ,d) e@f`:    `"x ,y" <a@b>, (c ,d) e@f`,
		`<@a,@b:c@d> ,"q\" ,": e ,f;`: `<@a,@b:c@d>, "q\" ,": e, f;`,
		`a (open ,b`:                  `a (open ,b`,
		"a ,":                         "a,",
	} {
		if got := filter.SettledList(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// FuzzSettledList: white space is all that changes, and only once.
func FuzzSettledList(f *testing.F) {
	f.Add(`"x ,y" <a@b> ,(c ,d) e@f,,` + "\n \t,x\\")
	f.Fuzz(func(t *testing.T, value string) {
		got := filter.SettledList(value)
		bare := func(s string) string {
			return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\r\n", r) }), "")
		}
		if bare(got) != bare(value) || filter.SettledList(got) != got {
			t.Errorf("%q: %q", value, got)
		}
	})
}
