package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// postfix is what a real Postfix passes with smtp-source; bench/postfix does it,
// as only tests may start one.
func (b *bench) postfix(ctx context.Context) error {
	servers, err := b.pair(ctx, "realistic")
	if err != nil {
		return err
	}
	goTool := os.Getenv("GO")
	if goTool == "" {
		goTool = "go"
	}
	cmd := exec.CommandContext(ctx, goTool, "test", "-run", "^$", "-bench", "Postfix", "-benchtime", fmt.Sprintf("%dx", b.rounds), "./bench/postfix")
	cmd.Env = append(os.Environ(), fmt.Sprintf("PMILTER_BENCH_MILTERS=c=unix:%s pmilterd=unix:%s", servers[0].socket, servers[1].socket))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%.500s", err, out)
	}
	// BenchmarkPostfix-2  5  0.9 c/none  100 c/s ...
	metrics := map[string]float64{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			metrics[fields[i+1]], _ = strconv.ParseFloat(fields[i], 64)
		}
	}
	if metrics["none/s"] == 0 {
		return fmt.Errorf("bench/postfix measured nothing: it needs root and Postfix\n%.500s", out)
	}
	ours, c := metrics["pmilterd/none"], metrics["c/none"]
	rate := func(name string) string { return fmt.Sprintf("%.0f messages/s", metrics[name+"/s"]) }
	b.add(figure{what: "Postfix without a milter, 20 sessions of smtp-source", measured: rate("none")})
	b.atLeast("behind Postfix: null filter on libmilter, of Postfix alone", c, 0, rate("c"))
	b.atLeast("behind Postfix: realistic script, of Postfix alone", ours, 0.9, rate("pmilterd"))
	b.atLeast("behind Postfix: realistic script, of C's", ours/c, 1, "")
	return nil
}
