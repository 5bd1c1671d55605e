package resolver_test

import (
	"fmt"
	"testing"
	"time"

	"pmilter/internal/resolver"
)

// BenchmarkKept is a question whose answer is kept, BenchmarkAsked one whose is not.
func BenchmarkKept(b *testing.B) {
	s := serve(b, "x.example.org. 60 IN A 192.0.2.1")
	r := resolver.New(resolver.Options{Servers: []string{s.addr}, Timeout: time.Minute})
	defer r.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Resolve(b.Context(), "x.example.org", "A"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAsked asks a server on this host each time.
func BenchmarkAsked(b *testing.B) {
	s := serve(b)
	r := resolver.New(resolver.Options{Servers: []string{s.addr}, Timeout: time.Minute})
	defer r.Close()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		_, _ = r.Resolve(b.Context(), fmt.Sprintf("n%d.example.org", i), "A")
	}
}
