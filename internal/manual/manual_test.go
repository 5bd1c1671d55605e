package manual_test

import (
	"strings"
	"testing"
	"time"

	"pmilter/internal/manual"
)

// TestTextIsShownAsItIs: what markdown or man(7) would take for markup.
func TestTextIsShownAsItIs(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"*.js and *.ts", "a_b_c", "<ADDRESS>", "[flags]", "`x`", "${NAME}", `back\slash`, "1. one", "# no heading",
		".SH no request", "'no request", "| a | b |", "--flag",
	} {
		page := manual.Page{Name: "x", Section: 1, About: "y", Body: "# DESCRIPTION\n" + manual.Text(s) + "\n"}
		roff := string(page.Render("v1", time.Unix(0, 0)))
		_, body, _ := strings.Cut(roff, ".SH DESCRIPTION\n")
		body = strings.NewReplacer(`\-`, "-", `\\`, `\`, `\&`, "", `\(aq`, "'", `\[aq]`, "'", "\\`", "`", `\e`, `\`).Replace(body)
		if strings.TrimSpace(body) != s {
			t.Errorf("%q is shown as %q", s, strings.TrimSpace(body))
		}
		for line := range strings.Lines(roff) {
			if strings.HasPrefix(line, ".SH no") || strings.HasPrefix(line, "'no") {
				t.Errorf("%q became a request: %q", s, line)
			}
		}
	}
}

func TestSection(t *testing.T) {
	t.Parallel()
	const readme = "# x\n\n## Before\n\nno\n\n## Configuration\n\nAs [this](docs/x.md) says.\n<!-- not\nshown -->\n\n" +
		"| key | default | meaning |\n|---|---|---|\n| `a.b` | `1` | one, of [`[a]`](x.md) |\n| `c` | `\"\"` | two |\n\n" +
		"### More\n\n```toml\n| a | b | # | no table\n```\n\n| signal | does |\n|---|---|\n| SIGHUP | reads |\n\n## After\n\nno\n"
	got := manual.Section(readme, "Configuration")
	const want = "As this says.\n\n`a.b`\n: (default: `1`) one, of `[a]`\n\n`c`\n: (default: `\"\"`) two\n\n\n" +
		"# MORE\n\n```\n| a | b | # | no table\n```\n\nSIGHUP\n: reads\n\n"
	if got != want {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
	if got := manual.Section(readme, "None"); got != "" {
		t.Errorf("a section that is not there is %q", got)
	}
}

func TestParagraphs(t *testing.T) {
	t.Parallel()
	got := manual.Paragraphs("One\nparagraph *here*.\n\n  code *here*\n  and here\n")
	if want := "One\nparagraph \\*here\\*\\.\n\n```\n  code *here*\n  and here\n```\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
