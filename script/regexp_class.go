package script

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

const (
	maxPattern  = 64 << 10  // of a regular expression as written
	maxExpanded = 256 << 10 // after its properties are written out
)

// rewritePattern is a regular expression as goja must be given it: goja reads
// \p{L} as the letters p{L}, so with the u flag \p{...} and \P{...} become
// explicit classes of Go's Unicode tables (ECMA-262 §22.2.1). What cannot be
// had is refused with an error that is the text of a SyntaxError: the v flag,
// an unknown property, a source over 64 KiB. Without the u flag \p is the
// letter p, in JavaScript too.
func rewritePattern(pattern, flags string) (string, error) {
	if len(pattern) > maxPattern {
		return "", invalidPattern("the source is over 64 KiB")
	}
	if strings.ContainsRune(flags, 'v') {
		return "", invalidPattern("the v flag is not supported; \\p{...} works with the u flag")
	}
	if !strings.ContainsRune(flags, 'u') || !strings.Contains(pattern, `\p`) && !strings.Contains(pattern, `\P`) {
		return pattern, nil
	}
	var b strings.Builder
	class := -1 // where the class that we are in began in pattern
	for i := 0; i < len(pattern); {
		size := 1
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern) && (pattern[i+1] == 'p' || pattern[i+1] == 'P'):
			set, length, err := property(pattern[i:])
			if err != nil {
				return "", err
			}
			if class >= 0 && inRange(pattern, class, i, i+length) {
				return "", invalidPattern("a property cannot begin or end a range")
			}
			set.write(&b, class >= 0)
			i += length
			if b.Len() > maxExpanded {
				return "", invalidPattern("too many \\p{...}")
			}
			continue
		case pattern[i] == '\\':
			size = min(2, len(pattern)-i)
		case pattern[i] == '[' && class < 0:
			class = i
		case pattern[i] == ']':
			class = -1
		}
		b.WriteString(pattern[i : i+size])
		i += size
	}
	return b.String(), nil
}

// invalidPattern is the text of a SyntaxError, as V8 words it.
func invalidPattern(why string) error { return errors.New("Invalid regular expression: " + why) }

// inRange tells whether what is at [from:to] of a class stands beside the '-' of a range.
func inRange(pattern string, class, from, to int) bool {
	if to+1 < len(pattern) && pattern[to] == '-' && pattern[to+1] != ']' {
		return true
	}
	head := pattern[class+1 : from]
	head = strings.TrimPrefix(head, "^")
	return len(head) > 1 && strings.HasSuffix(head, "-") && !strings.HasSuffix(head, `\-`)
}

// property reads \p{name}, \p{name=value} or \P at the beginning of s.
func property(s string) (charset, int, error) {
	end := strings.IndexByte(s, '}')
	if len(s) < 3 || s[2] != '{' || end < 0 {
		return nil, 0, invalidPattern("Invalid property name")
	}
	name := s[3:end]
	set, ok := propertySet(name)
	if !ok {
		message := fmt.Sprintf("unknown or unsupported property \\p{%.60s}", name)
		if strings.Contains(name, "Emoji") || name == "Extended_Pictographic" {
			message += "; a range such as [\\u{1F300}-\\u{1FAFF}] can stand for it"
		}
		return nil, 0, invalidPattern(message)
	}
	if s[1] == 'P' {
		set = set.not()
	}
	return set, end + 1, nil
}

// propertySet is the set behind a property's name (ECMA-262, tables 69 to 71).
// Script_Extensions is taken as Script: Go's tables have no more.
func propertySet(name string) (charset, bool) {
	if key, value, ok := strings.Cut(name, "="); ok {
		switch key {
		case "General_Category", "gc":
			return category(value)
		case "Script", "sc", "Script_Extensions", "scx":
			if full, ok := scriptAliases()[value]; ok {
				value = full
			}
			table, ok := unicode.Scripts[value]
			return ranges(table), ok
		default:
			return nil, false
		}
	}
	if set, ok := category(name); ok {
		return set, true
	}
	return binaryProperty(name)
}

func category(name string) (charset, bool) {
	if short, ok := unicode.CategoryAliases[name]; ok {
		name = short
	}
	table, ok := unicode.Categories[name]
	return ranges(table), ok
}

// binaryProperty is one that Go has or that is made of such as it has
// (Unicode's DerivedCoreProperties.txt says how).
func binaryProperty(name string) (charset, bool) {
	p := unicode.Properties
	alphabetic := func() charset {
		return ranges(unicode.L, unicode.Nl, p["Other_Alphabetic"])
	}
	lower := func() charset { return ranges(unicode.Ll, p["Other_Lowercase"]) }
	upper := func() charset { return ranges(unicode.Lu, p["Other_Uppercase"]) }
	pattern := func() charset { return ranges(p["Pattern_Syntax"], p["Pattern_White_Space"]) }
	start := func() charset { return ranges(unicode.L, unicode.Nl, p["Other_ID_Start"]) }
	switch name {
	case "Any":
		return charset{{0, unicode.MaxRune}}, true
	case "ASCII":
		return charset{{0, unicode.MaxASCII}}, true
	case "Assigned":
		return ranges(unicode.Cn).not(), true
	case "Alphabetic", "Alpha":
		return alphabetic(), true
	case "Lowercase", "Lower":
		return lower(), true
	case "Uppercase", "Upper":
		return upper(), true
	case "Cased":
		return merge(append(append(lower(), upper()...), ranges(unicode.Lt)...)), true
	case "Math":
		return ranges(unicode.Sm, p["Other_Math"]), true
	case "ID_Start", "IDS":
		return start().minus(pattern()), true
	case "ID_Continue", "IDC":
		more := ranges(unicode.Mn, unicode.Mc, unicode.Nd, unicode.Pc, p["Other_ID_Continue"])
		return merge(append(start(), more...)).minus(pattern()), true
	case "Grapheme_Extend", "Gr_Ext":
		return ranges(unicode.Me, unicode.Mn, p["Other_Grapheme_Extend"]), true
	}
	full, ok := binaryAliases()[name]
	if !ok {
		return nil, false
	}
	return ranges(p[full]), true
}

// charset is a set of characters: sorted ranges that do not touch.
type charset [][2]rune

// ranges is the union of tables; nil ones are empty.
func ranges(tables ...*unicode.RangeTable) charset {
	var set charset
	add := func(lo, hi, stride rune) {
		if stride == 1 {
			set = append(set, [2]rune{lo, hi})
			return
		}
		for c := lo; c <= hi; c += stride {
			set = append(set, [2]rune{c, c})
		}
	}
	for _, t := range tables {
		if t == nil {
			continue
		}
		for _, r := range t.R16 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
		for _, r := range t.R32 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
	}
	return merge(set)
}

// merge sorts the ranges and joins those that touch.
func merge(set charset) charset {
	slices.SortFunc(set, func(a, b [2]rune) int { return int(a[0] - b[0]) })
	out := set[:0]
	for _, r := range set {
		if n := len(out); n > 0 && r[0] <= out[n-1][1]+1 {
			out[n-1][1] = max(out[n-1][1], r[1])
			continue
		}
		out = append(out, r)
	}
	return out
}

// not is all other characters.
func (s charset) not() charset {
	var out charset
	next := rune(0)
	for _, r := range s {
		if r[0] > next {
			out = append(out, [2]rune{next, r[0] - 1})
		}
		next = r[1] + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, [2]rune{next, unicode.MaxRune})
	}
	return out
}

// minus is what is in s and not in t.
func (s charset) minus(t charset) charset {
	return merge(append(s.not(), t...)).not()
}

// write writes the set as (a part of) a class. The complement is always written
// out: with the i flag [^...] would mean something else than \P (ECMA-262 §22.2.2.9).
func (s charset) write(b *strings.Builder, inClass bool) {
	if !inClass {
		b.WriteByte('[')
		defer b.WriteByte(']')
	}
	for _, r := range s {
		writeChar(b, r[0])
		if r[1] > r[0] {
			b.WriteByte('-')
			writeChar(b, r[1])
		}
	}
}

func writeChar(b *strings.Builder, c rune) {
	switch {
	case c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z':
		b.WriteRune(c)
	case c <= 0xFFFF:
		fmt.Fprintf(b, `\u%04x`, c)
	default:
		fmt.Fprintf(b, `\u{%x}`, c)
	}
}
