package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"pmilter/internal/daemon"
)

// TestDecisionText: testdata/explain.jsonl, a decision of each kind, as people see it.
func TestDecisionText(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/explain.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	zone := time.FixedZone("CET", 3600)
	for line := range bytes.Lines(data) {
		d, err := daemon.ParseDecision(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if err := writeDecision(&out, d, zone); err != nil {
			t.Fatal(err)
		}
		out.WriteByte('\n')
		if json := daemon.DecisionLine(d); bytes.ContainsFunc(bytes.TrimSuffix(json, []byte{'\n'}), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("not harmless: %q", json)
		}
	}
	const golden = "testdata/explain.want"
	if os.Getenv("PMILTER_UPDATE") == "1" {
		if err := os.WriteFile(golden, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
	if strings.ContainsFunc(out.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		t.Errorf("not harmless: %q", &out)
	}
}

func TestSince(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, zone)
	for s, want := range map[string]time.Time{
		"": {}, "2h": now.Add(-2 * time.Hour), "14d": now.AddDate(0, 0, -14), "2026-03-01": time.Date(2026, 3, 1, 0, 0, 0, 0, zone),
		"2026-03-01 14:05": time.Date(2026, 3, 1, 14, 5, 0, 0, zone), "2026-03-01T14:05:06": time.Date(2026, 3, 1, 14, 5, 6, 0, zone),
		"2026-03-01T14:05:06Z": time.Date(2026, 3, 1, 14, 5, 6, 0, time.UTC),
	} {
		if got, err := sinceTime(s, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"yesterday", "-2h", "2026", "2026-13-01", "14:00", "2 h"} {
		if got, err := sinceTime(s, now); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
}
