package daemon

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pmilter/internal/config"
)

// TestOddNames: text of a mail that is no Unicode may be a property's name. A
// reply has ? for what is not ASCII.
func TestOddNames(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	allow := func(c *config.Config) { c.Permissions.Net = []string{strings.TrimPrefix(server.URL, "http://")} }
	imports := `import { fetch } from "pmilter/http"; import store from "pmilter/store"; const odd = { "\udcff": 1, "\ufffd": 2, a: 3 };`
	url := `"` + server.URL + `"`
	for expression, want := range map[string]string{
		`fetch(` + url + `, { headers: odd }).catch((e) => e.name + e.message.slice(0, 21))`: `"TypeErrorfetch: not a header: "`,
		`fetch(` + url + `, { headers: [["a", "1"], ["a", "2"]] }).then((r) => r.status)`:    `404`,
		`fetch(` + url + `, { headers: [["a", "1", "2"]] })`:                                 `TypeError |  | fetch: headers: an element is no pair of name and value`,
		`fetch(` + url + `, { headers: [, ["a", "1"]] })`:                                    `TypeError |  | fetch: headers: an element is no pair of name and value`,
		`fetch(` + url + `, { headers: new Array(201) })`:                                    `TypeError |  | fetch: headers has more than 200 items`,
		`JSON.stringify(odd)`: `"{\"\\udcff\":1,\"?\":2,\"a\":3}"`,
		`store.set("k", { "\ufffd": 1 }).then(() => store.get("k"))`: `{"?":1}`,
		`store.set("k", odd)`: `TypeError |  | store.set: a property whose name is no Unicode text cannot be stored: a value is made of plain objects, arrays, strings, numbers, booleans and null`,
		`[1].map(() => { try { session.message.setSender("a@b", odd); } catch (e) { return e.name; }})`: `[null]`,
	} {
		if got := asked(t, imports, expression, allow); got != want {
			t.Errorf("%s\n got %s\nwant %s", expression, got, want)
		}
	}
}
