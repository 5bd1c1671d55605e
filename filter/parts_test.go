package filter_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"pmilter/filter"
)

// onParts plays a message with that body through edits of its parts, and returns
// what the MTA was told to do.
func onParts(t *testing.T, contentType, body string, edit func(m *filter.Message) error, options ...option) (edits []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newCast(script("a", on{filter.EOM: with(func(p *play) error { return edit(p.m) })})), options...)
		r.envelope()
		r.say("header Subject: hello", "header Content-Type: "+contentType, "eoh")
		for rest := body; rest != ""; {
			n := min(len(rest), 50_000)
			r.say("body " + rest[:n])
			rest = rest[n:]
		}
		r.say("eom -> continue")
		for _, e := range r.edits {
			edits = append(edits, e.String())
		}
	})
	return edits
}

// What an edit of parts changes in the message's own header is written as any
// other field is, with the space after the colon whoever has to write it.
func TestPartEditsChangeTheHeader(t *testing.T) {
	t.Parallel()
	for version, space := range map[uint32]string{6: " ", 2: ""} {
		edits := onParts(t, "text/plain; charset=us-ascii", "hello", func(m *filter.Message) error {
			return m.EditParts(0, func(tree *filter.Tree) error {
				return tree.Replace(tree.Root(), filter.NewPart{Content: []byte("Grüße"), Text: true})
			})
		}, speaking(version))
		all := strings.Join(edits, "\n")
		for _, want := range []string{"Content-Type (number 1): " + space + "text/plain; charset=utf-8", "Content-Transfer-Encoding: " + space + "quoted-printable", "MIME-Version: " + space + "1.0"} {
			if !strings.Contains(all, want) {
				t.Errorf("version %d: no %q in\n%s", version, want, all)
			}
		}
	}
}

// A part is of the body in which it was found, not of one that came in its place.
func TestPartsOfAnEarlierBody(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(m *filter.Message) error{
		"another body": func(m *filter.Message) error { return m.ReplaceBody([]byte("--b\r\n\r\nother\r\n--b--\r\n")) },
		"another type": func(m *filter.Message) error { return m.SetHeader("Content-Type", "multipart/alternative; boundary=b") },
	} {
		t.Run(name, func(t *testing.T) {
			onParts(t, "multipart/mixed; boundary=b", "--b\n\none\n--b--\n", func(m *filter.Message) error {
				tree, generation, err := m.Parts()
				if err != nil {
					return err
				}
				id := tree.Root().Children()[0].ID()
				if _, err := m.Part(id, generation); err != nil {
					t.Error(err)
				}
				if err := change(m); err != nil {
					return err
				}
				if _, err := m.Part(id, generation); !errors.Is(err, filter.ErrStalePart) {
					t.Errorf("the part is still there: %v", err)
				}
				return nil
			})
		})
	}
}

// A script that takes parts out one by one, and looks at what is left, does not
// have the message made anew each time.
func TestPartEditsAreCheap(t *testing.T) {
	const parts = 300
	body := strings.Repeat("--b\nContent-Type: application/pdf\n\n"+strings.Repeat("x", 3000)+"\n", parts) +
		"--b\nContent-Type: text/plain\n\nhello\n--b--\n"
	allocated := uint64(0)
	onParts(t, "multipart/mixed; boundary=b", body, func(m *filter.Message) error {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range parts {
			tree, generation, err := m.Parts()
			if err != nil {
				return err
			}
			n, err := m.Part(tree.Root().Children()[0].ID(), generation)
			if err != nil {
				return err
			}
			if err := m.EditParts(0, func(tree *filter.Tree) error { return tree.Remove(tree.Node(n.ID())) }); err != nil {
				return err
			}
			if text, err := m.Text(); err != nil || text != "hello" || len(tree.Attachments()) != parts-1-i {
				t.Fatalf("%q and %d attachments after %d, %v", text, len(tree.Attachments()), i, err)
			}
		}
		runtime.ReadMemStats(&after)
		allocated = after.TotalAlloc - before.TotalAlloc
		return nil
	})
	if allocated > 50*uint64(len(body)) {
		t.Errorf("%d edits of %d bytes allocated %d", parts, len(body), allocated)
	}
}
