package daemon

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"

	"go.uber.org/zap"

	"pmilter/filter"
	"pmilter/internal/config"
	"pmilter/internal/mta"
	"pmilter/internal/playground"
)

// Try serves the playground until ctx is done: an SMTP server in front of the
// filters of the configuration, which it asks over the real milter protocol,
// inside the process. What cfg says of listening and connections is not used.
// log gets reloads, script errors and console lines; the verdicts go to p.Out.
// Dial, Scripts, Hints and Where of p are set here.
func Try(ctx context.Context, cfg *config.Config, log *zap.Logger, p playground.Config) error {
	defer runtime.KeepAlive(limitProcess(cfg))
	return try(ctx, cfg, log, p)
}

// try is Try within a process whose limits are set.
func try(ctx context.Context, cfg *config.Config, log *zap.Logger, p playground.Config) error {
	places := places{at: map[netip.AddrPort]playground.Place{}}
	e, err := newEngine(context.WithoutCancel(ctx), cfg, log, places.note)
	if err != nil {
		return err
	}
	defer e.close()
	defer func() { _ = e.server.Shutdown(ctx) }() // ctx is done: the playground has said goodbye already
	for _, s := range e.library.Load().Current().List() {
		p.Scripts = append(p.Scripts, s.Name)
		for _, hint := range hints(filepath.Join(base(cfg), s.Name)) {
			p.Hints = append(p.Hints, "  "+strings.ReplaceAll(hint, tryAddr, p.SMTPAddr))
		}
	}
	if len(p.Hints) > 0 {
		p.Hints = append([]string{"What the scripts suggest to try:", ""}, p.Hints...)
	}
	p.Dial, p.Where = e.dial, places.find
	return playground.Run(ctx, p)
}

// tryAddr is the playground's address in hints: that of `make run`.
const tryAddr = "127.0.0.1:2525"

// hints are the swaks lines in a script's comments: how its author suggests to
// provoke it.
func hints(file string) []string {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil // hints are a courtesy
	}
	var list []string
	for _, m := range regexp.MustCompile(`(?m)^//.*?\b(swaks --\S.*)$`).FindAllSubmatch(text, 5) {
		list = append(list, string(m[1]))
	}
	return list
}

// places remembers what made the last verdict about a client.
type places struct {
	mu sync.Mutex
	at map[netip.AddrPort]playground.Place
}

// maxPlaces bounds what is remembered of clients that are gone.
const maxPlaces = 1000

func (p *places) note(o *filter.Outcome) {
	ip, err := netip.ParseAddr(o.Client.IP)
	if err != nil {
		return
	}
	place := playground.Place{Script: o.Where.String(), Phase: mta.Phase(o.Phase.String())}
	if o.Where.File == "" {
		place.Script = o.Script
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.at) >= maxPlaces {
		clear(p.at)
	}
	p.at[netip.AddrPortFrom(ip, uint16(o.Client.Port))] = place
}

func (p *places) find(d playground.Decision) playground.Place {
	client := netip.AddrPortFrom(d.Client.Addr().Unmap(), d.Client.Port())
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at[client] // asked about more than once; the next outcome takes its place
}
