package script

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTypesAreTheBindings: scripts/pmilter.d.ts names what the bindings have,
// no more and no less, each with a sentence and an example.
func TestTypesAreTheBindings(t *testing.T) {
	text, err := os.ReadFile("../scripts/pmilter.d.ts")
	if err != nil {
		t.Fatal(err)
	}
	interfaces := declared(t, string(text))
	all := newClasses()
	for name, c := range map[string]*class{
		"Session": all.session, "Address": all.address, "Message": all.message,
		"Headers": all.headers, "Part": all.part, "PartHeaders": all.partHeaders,
		"Job": all.job, "Table": all.table, "Matcher": all.matcher,
		"Response": all.response, "ResponseHeaders": all.responseHeaders,
	} {
		bound := slices.Sorted(maps.Keys(c.get))
		bound = append(bound, slices.Collect(maps.Keys(c.methods))...)
		slices.Sort(bound)
		if types := interfaces[name]; !slices.Equal(types, bound) {
			t.Errorf("%s: pmilter.d.ts has %v\nthe bindings have %v", name, types, bound)
		}
		for _, key := range c.keys {
			if _, ok := c.get[key]; !ok {
				t.Errorf("%s enumerates %s, which it has not", name, key)
			}
		}
	}
	for name, m := range modules() {
		_, block, found := strings.Cut(string(text), "declare module \""+name+"\" {\n")
		block, _, _ = strings.Cut(block, "\n}\n")
		if !found {
			t.Errorf("pmilter.d.ts does not declare %s", name)
		}
		for _, export := range m.exports {
			if !regexp.MustCompile(`(?m)^  export (function |const |class |\{ \w+ as )` + export + `\b`).MatchString(block) {
				t.Errorf("pmilter.d.ts lacks %s of %s", export, name)
			}
		}
	}
}

// declared is the members of each interface, sorted.
func declared(t *testing.T, text string) map[string][]string {
	t.Helper()
	list := map[string][]string{}
	member := regexp.MustCompile(`^    (?:readonly )?(\w+)\??[:(]`)
	name, comment := "", ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if rest, ok := strings.CutPrefix(line, "  export interface "); ok {
			name = strings.Fields(rest)[0]
		}
		if line == "  }" {
			slices.Sort(list[name])
			name = ""
		}
		if m := member.FindStringSubmatch(line); name != "" && m != nil {
			list[name] = append(list[name], m[1])
			if !strings.HasPrefix(comment, "    /** ") || !strings.Contains(comment, "@example ") {
				t.Errorf("%s.%s has no sentence and example", name, m[1])
			}
		}
		comment = line
	}
	return list
}
