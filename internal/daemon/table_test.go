package daemon

import (
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"pmilter/internal/config"
)

// loadFault is why a script beside a table of networks does not load.
func loadFault(t *testing.T, code string) error {
	t.Helper()
	s := &stage{t: t, dir: t.TempDir(), cfg: config.Default()}
	s.write("10-test.js", imports+code)
	s.cfg.File = filepath.Join(s.dir, "pmilter.toml")
	s.cfg.Scripts = []string{s.dir}
	e, err := newEngine(t.Context(), s.cfg, zap.NewNop(), nil)
	if err == nil {
		e.close()
	}
	return err
}

// TestTable: a script looks keys up in a file named relative to pmilter.toml.
func TestTable(t *testing.T) {
	s := newStage(t, map[string]string{
		"nets": "192.0.2.0/24 blocked by a table\n",
		"10-test.js": imports + `import { table } from "pmilter/table";
const nets = table("cidr:nets");
export function connect(s) { if (nets.get("203.0.113.1") !== null) return reject("found"); return reject(nets.get(s.client.ip)); }`,
	})
	if got := outcomeOf(s.send(plain())); got != "connect 550 5.7.1 blocked by a table" {
		t.Errorf("%s", got)
	}
}

// TestTableFault: a table that is not there is a fault of the script, at its line.
func TestTableFault(t *testing.T) {
	err := loadFault(t, "import { table } from \"pmilter/table\";\nexport function mail() {}\nconst none = table(\"texthash:none\");")
	if err == nil || !strings.HasPrefix(err.Error(), "10-test.js:4:14: ") || !strings.Contains(err.Error(), "none: no such file or directory") {
		t.Errorf("%v", err)
	}
}

func TestMatcher(t *testing.T) {
	const m = `import { matcher } from "pmilter/match";` + "\n"
	for code, want := range map[string]string{
		`matcher(["he", "she", /h\w+s/]).find("ushers")`:                                            "0,1,2",
		`matcher(["he"]).test("HE") + "," + matcher(["he"]).test("the")`:                            "false,true",
		`matcher(["HE", /X\d/], { ignoreCase: true }).find("the x5")`:                               "0,1",
		`matcher([/a.b/s, /^b/m, /A/i]).find("a\nb")`:                                               "0,1,2",
		`matcher([/a.b/, /^b/, /A/]).find("a\nb")`:                                                  "",
		`matcher(["ü", /^\u{1F600}$/u]).find("\u{1F600}")`:                                          "1",
		`matcher(["b"]).find(new TextEncoder().encode("abc"))`:                                      "0",
		`matcher(["b"]).find(new Uint8Array([97, 98, 99]).subarray(2))`:                             "",
		`(() => { try { matcher([/(?=x)/]) } catch (e) { return e.name } })()`:                      "TypeError",
		`(() => { try { matcher([5]) } catch (e) { return e.message } })()`:                         "matcher: pattern 0 is 5, and neither a string nor a RegExp",
		`(() => { try { matcher("x") } catch (e) { return e.message } })()`:                         `matcher: the patterns are "x", which is no array`,
		`(() => { try { matcher(["x"], { ignorecase: true }) } catch (e) { return e.message } })()`: `matcher: there is no option "ignorecase", only: ignoreCase`,
		`(() => { try { matcher(["x"], true) } catch (e) { return e.message } })()`:                 `matcher: the options are true, which is no object`,
		`(() => { try { matcher([""]) } catch (e) { return e.message } })()`:                        "match: an empty word is in every text",
		`(() => { try { matcher(["x"]).test(5) } catch (e) { return e.name } })()`:                  "TypeError",
	} {
		s := one(t, m+"export function mail() { return reject(\"=\" + String("+code+")); }")
		if got := outcomeOf(s.send(plain())); got != "mail 550 5.7.1 ="+want {
			t.Errorf("%s: %s, want %s", code, got, want)
		}
	}
}
