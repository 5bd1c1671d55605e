// Package postfix measures what a milter costs behind a real Postfix: smtp-source
// with 20 sessions at once, through instances without a milter, with the null
// filter on libmilter and with pmilterd. bench/run starts it.
package postfix

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pmilter/internal/postfixtest"
)

// BenchmarkPostfix brings messages to each instance in turn, b.N rounds;
// PMILTER_BENCH_MILTERS names the milters, as in "c=unix:/x/c.sock pmilterd=unix:/x/s".
func BenchmarkPostfix(b *testing.B) {
	const sessions, messages = "20", 400
	type instance struct {
		name    string
		postfix *postfixtest.Postfix
		rates   []float64
	}
	start := func(name string, milters ...string) *instance {
		return &instance{name: name, postfix: postfixtest.Start(b, postfixtest.Config{Milters: milters, MainCF: map[string]string{
			"default_transport": "discard:", "relay_transport": "discard:",
			"smtpd_client_connection_count_limit": "0",
		}})}
	}
	all := []*instance{start("none")}
	for _, milter := range strings.Fields(os.Getenv("PMILTER_BENCH_MILTERS")) {
		name, address, _ := strings.Cut(milter, "=")
		all = append(all, start(name, address))
	}
	if len(all) < 2 {
		b.Skip("left out: PMILTER_BENCH_MILTERS names no milter; make bench sets it")
	}
	round := func(i *instance, messages int) float64 {
		begin := time.Now()
		if out, err := i.postfix.SMTPSource("-s", sessions, "-m", fmt.Sprint(messages), "-l", "8192", "-M", "client.example.org", "-f", "a@example.org", "-t", "b@example.net"); err != nil {
			b.Fatalf("%s: %v\n%s", i.name, err, out)
		}
		return float64(messages) / time.Since(begin).Seconds()
	}
	for _, i := range all {
		round(i, messages/4)
	}
	b.ResetTimer()
	for n := range b.N {
		for at := range all {
			i := all[(at+n)%len(all)]
			i.rates = append(i.rates, round(i, messages))
		}
	}
	b.ReportMetric(0, "ns/op")
	for _, i := range all {
		ratios := make([]float64, len(i.rates))
		for n := range ratios {
			ratios[n] = i.rates[n] / all[0].rates[n]
		}
		slices.Sort(ratios)
		slices.Sort(i.rates)
		b.ReportMetric(i.rates[len(i.rates)/2], i.name+"/s")
		b.ReportMetric(ratios[len(ratios)/2], i.name+"/none")
	}
}
