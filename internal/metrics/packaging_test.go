package metrics_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"pmilter/filter"
	"pmilter/internal/admin"
	"pmilter/internal/metrics"
	"pmilter/internal/postfixtest"
)

// everything is a server that has counted each of its metrics at least once.
func everything() prometheus.Gatherers {
	serving := newServing()
	m := serving.Scripts(scripts("a.js"))
	m.Decided(0, filter.EOM, filter.Reject, false)
	m.Decided(0, filter.EOM, filter.Reject, true)
	server := metrics.NewServer(metrics.ServerOptions{Version: "v1", Status: func(context.Context) *admin.Status {
		return &admin.Status{
			Connections:   admin.Connections{Max: 10},
			MilterWorkers: &admin.MilterWorkers{Workers: 2, Processes: []admin.MilterWorker{{State: "serving"}}},
			Queues: []admin.Queue{{Name: "q", Failed: 1, Scripts: &admin.Scripts{}, Pool: &admin.Pool{
				Max: 4, Started: 3, Died: 1, Workers: []admin.Worker{{State: "busy"}},
			}}},
		}
	}})
	return prometheus.Gatherers{server.Gatherer(), metrics.NewMerger(serving.Gatherer())}
}

// promtool is run where it is installed, which .ci/deps.sh sees to.
func promtool(t *testing.T, stdin []byte, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv(postfixtest.RequireEnv) != "" {
			t.Fatal("promtool is not installed (apt-get install prometheus)")
		}
		t.Skip("left out: promtool is not installed (apt-get install prometheus)")
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Stdin = "../../packaging/prometheus", bytes.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	} else if stdin != nil && len(out) > 0 {
		t.Errorf("promtool %s complains:\n%s", strings.Join(args, " "), out)
	}
}

func TestPromtool(t *testing.T) {
	t.Parallel()
	promtool(t, nil, "check", "rules", "pmilterd.rules.yml")
	promtool(t, nil, "test", "rules", "pmilterd.test.yml")
	families, err := everything().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "pmilter_") {
			if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
				t.Fatal(err)
			}
		}
	}
	promtool(t, text.Bytes(), "check", "metrics")
}

// TestPackagedNames: what the dashboard and the alerts ask for is there, and each alert
// has its test.
func TestPackagedNames(t *testing.T) {
	t.Parallel()
	families, err := everything().Gather()
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, f := range families {
		there[f.GetName()] = true
		if f.GetType().String() == "HISTOGRAM" {
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				there[f.GetName()+suffix] = true
			}
		}
	}
	name := regexp.MustCompile(`\b(?:pmilter|go|process)_[a-z0-9_]+`)
	for _, file := range []string{"grafana/pmilterd.json", "prometheus/pmilterd.rules.yml", "prometheus/pmilterd.test.yml"} {
		data, err := os.ReadFile(filepath.Join("../../packaging", file))
		if err != nil {
			t.Fatal(err)
		}
		found := name.FindAllString(string(data), -1)
		if len(found) < 10 {
			t.Errorf("%s: only %d names", file, len(found))
		}
		for _, n := range found {
			if !there[n] {
				t.Errorf("%s: there is no %s", file, n)
			}
		}
	}
	rules, _ := os.ReadFile("../../packaging/prometheus/pmilterd.rules.yml")
	tests, _ := os.ReadFile("../../packaging/prometheus/pmilterd.test.yml")
	for _, alert := range regexp.MustCompile(`alert: (\w+)`).FindAllSubmatch(rules, -1) {
		if !bytes.Contains(tests, []byte(`alertname="`+string(alert[1])+`"`)) {
			t.Errorf("the alert %s has no test", alert[1])
		}
	}
}

// TestDashboard is JSON with panels that ask for something and do not overlap.
func TestDashboard(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../packaging/grafana/pmilterd.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		UID    string
		Panels []struct {
			ID      int
			Type    string
			Title   string
			Targets []struct{ Expr string }
			GridPos struct{ X, Y, W, H int }
		}
	}
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if p.Type != "row" && (len(p.Targets) == 0 || p.Targets[0].Expr == "") {
			t.Errorf("%s asks for nothing", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s lies over %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	if d.UID == "" || len(d.Panels) < 20 {
		t.Errorf("%d panels", len(d.Panels))
	}
	// promtool knows no dashboards: what they ask for is checked as rules.
	rules := "groups:\n- name: dashboard\n  rules:\n"
	variables := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*")
	for _, p := range d.Panels {
		for i, target := range p.Targets {
			rules += fmt.Sprintf("  - record: panel:%d:%d\n    expr: %q\n", p.ID, i, variables.Replace(target.Expr))
		}
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, nil, "check", "rules", file)
}

// TestDocumentedMetrics holds the table of docs/operations.md: PMILTER_UPDATE=1 writes it.
func TestDocumentedMetrics(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- metrics -->\n", "<!-- end of metrics -->\n"
	families, err := everything().Gather()
	if err != nil {
		t.Fatal(err)
	}
	want := "| metric | type | labels | is |\n|---|---|---|---|\n"
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "pmilter_") {
			continue
		}
		labels := map[string]bool{}
		for _, m := range f.GetMetric() {
			for _, p := range m.GetLabel() {
				labels["`"+p.GetName()+"`"] = true
			}
		}
		want += fmt.Sprintf("| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()),
			strings.Join(slices.Sorted(maps.Keys(labels)), " "), f.GetHelp())
	}
	const file = "../../docs/operations.md"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no table of metrics", file)
	}
	if got == want {
		return
	}
	if os.Getenv("PMILTER_UPDATE") == "" {
		t.Fatalf("%s: PMILTER_UPDATE=1 go test ./internal/metrics -run DocumentedMetrics writes:\n%s", file, want)
	}
	if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
