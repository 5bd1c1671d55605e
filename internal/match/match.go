// Package match looks for many patterns at once in a text: words by the
// Aho-Corasick algorithm, in one pass however many there are, and expressions by
// Go's regexp, whose time is linear in the text. Both see bytes.
package match

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/coregx/ahocorasick"
)

const (
	// maxPatterns is how many patterns a matcher has at most.
	maxPatterns = 100_000
	// maxWord is how many bytes a word has at most: to compile one that repeats
	// itself takes time in proportion to the square of its length.
	maxWord = 1024
	// maxTable bounds the automaton of the words: states times kinds of bytes,
	// four bytes each.
	maxTable = 16 << 20
	// chunk is how much text is looked at before the words found in it are noted.
	chunk = 64 << 10
)

// Pattern is a word, which is found anywhere, inside other words too, or an
// expression in Go's syntax.
type Pattern struct {
	Text       string
	Expression bool
}

// Matcher is compiled patterns. Safe for concurrent use.
type Matcher struct {
	count       int
	words       *ahocorasick.Automaton // nil without words
	wordIndex   []int                  // of each word, in the patterns
	longest     int                    // bytes of the longest word
	step        int                    // bytes of text at a time
	expressions []*regexp.Regexp
	exprIndex   []int
	fold        bool
}

// New compiles patterns. With fold, letters of either case are the same in words;
// expressions have a flag of their own for it.
func New(patterns []Pattern, fold bool) (*Matcher, error) {
	if len(patterns) > maxPatterns {
		return nil, fmt.Errorf("match: %d patterns: at most %d", len(patterns), maxPatterns)
	}
	m := &Matcher{count: len(patterns), fold: fold, step: chunk}
	var words [][]byte
	total, kinds := 0, [256]bool{}
	for i, p := range patterns {
		if p.Expression {
			re, err := regexp.Compile(p.Text)
			if err != nil {
				return nil, fmt.Errorf("match: %w", err)
			}
			m.expressions, m.exprIndex = append(m.expressions, re), append(m.exprIndex, i)
			continue
		}
		word := []byte(p.Text)
		if fold {
			word = folded(word)
		}
		if len(word) == 0 {
			return nil, errors.New("match: an empty word is in every text")
		}
		if len(word) > maxWord {
			return nil, fmt.Errorf("match: pattern %d has %d bytes: a word has at most %d", i, len(word), maxWord)
		}
		for _, b := range word {
			kinds[b] = true
		}
		total += len(word)
		m.longest = max(m.longest, len(word))
		words, m.wordIndex = append(words, word), append(m.wordIndex, i)
	}
	if len(words) == 0 {
		return m, nil
	}
	classes := 1
	for _, used := range kinds {
		if used {
			classes++
		}
	}
	if total*classes > maxTable {
		return nil, fmt.Errorf("match: words of %d bytes are too many: with %d different bytes at most %d", total, classes-1, maxTable/classes)
	}
	var err error
	if m.words, err = ahocorasick.NewBuilder().AddPatterns(words).SetPrefilter(false).Build(); err != nil {
		return nil, fmt.Errorf("match: %w", err)
	}
	m.step = max(chunk/m.nesting(words), m.longest)
	return m, nil
}

// nesting is how many words can end at one place of a text: what is found in a
// chunk is kept until its end, and a text may be made to have as much as possible.
func (m *Matcher) nesting(words [][]byte) int {
	most := 1
	for _, word := range words {
		n := 0
		for _, found := range m.words.FindAllOverlapping(word) {
			if found.End == len(word) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// Test tells whether any pattern is in the text. stop is asked now and then
// whether to give up, with any result; nil never stops.
func (m *Matcher) Test(text []byte, stop func() bool) bool {
	any := false
	m.search(text, stop, func(int) bool { any = true; return false })
	return any
}

// Find is the indexes of the patterns that are in the text, in ascending order.
// stop is as for Test.
func (m *Matcher) Find(text []byte, stop func() bool) []int {
	found := make([]bool, m.count)
	m.search(text, stop, func(i int) bool { found[i] = true; return true })
	var list []int
	for i, yes := range found {
		if yes {
			list = append(list, i)
		}
	}
	return list
}

// search yields the index of each pattern that is in the text, some more than
// once, until yield returns false.
func (m *Matcher) search(text []byte, stop func() bool, yield func(int) bool) {
	if stop == nil {
		stop = func() bool { return false }
	}
	if m.words != nil && !m.searchWords(text, stop, yield) {
		return
	}
	for i, re := range m.expressions {
		if stop() || re.Match(text) && !yield(m.exprIndex[i]) {
			return
		}
	}
}

func (m *Matcher) searchWords(text []byte, stop func() bool, yield func(int) bool) (more bool) {
	if m.fold {
		text = folded(text)
	}
	for from := 0; from < len(text); from += m.step {
		if stop() {
			return false
		}
		// The next chunk begins where a word that begins in this one may not have ended.
		to := min(from+m.step+m.longest-1, len(text))
		for _, found := range m.words.FindAllOverlapping(text[from:to]) {
			if !yield(m.wordIndex[found.PatternID]) {
				return false
			}
		}
	}
	return true
}

// folded is text in which letters of either case are the same. It is as long as
// the text where that is ASCII, and the text itself where nothing changes.
func folded(text []byte) []byte {
	for i, b := range text {
		if b >= utf8.RuneSelf {
			return foldedRunes(text)
		}
		if 'A' <= b && b <= 'Z' {
			lower := slices.Clone(text)
			for j := i; j < len(lower); j++ {
				switch b := lower[j]; {
				case b >= utf8.RuneSelf:
					return foldedRunes(text)
				case 'A' <= b && b <= 'Z':
					lower[j] = b + 'a' - 'A'
				}
			}
			return lower
		}
	}
	return text
}
