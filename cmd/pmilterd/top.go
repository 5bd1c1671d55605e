package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pmilter/internal/config"
	"pmilter/internal/daemon"
)

// newTopCommand shows the status again and again.
func newTopCommand(a *app) *cobra.Command {
	t := &top{a: a}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch the running server: status, with the rates of the last seconds",
		Long: "Watch the running server: the page of status again and again, with rates of the time\n" +
			"since the page before. Ctrl-C ends it. Where standard output is no terminal, the pages\n" +
			"follow each other, each below a line with the time. It waits for a server that restarts.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if t.interval < minInterval {
				return usagef("--interval %s: at least %s", t.interval, minInterval)
			}
			cfg, err := a.loadConfig()
			if err != nil {
				return err
			}
			return t.run(cmd.Context(), cfg)
		},
	}
	a.configFlag(cmd)
	cmd.Flags().DurationVar(&t.interval, "interval", 2*time.Second, "`TIME` between two pages")
	cmd.Flags().IntVarP(&t.count, "count", "n", 0, "end after `N` pages (default: until interrupted)")
	return cmd
}

// minInterval keeps an administrator from keeping the server busy.
const minInterval = 100 * time.Millisecond

// top is the state of the command.
type top struct {
	a        *app
	interval time.Duration
	count    int

	last   *daemon.Status
	lastAt time.Time
	news   string // about the server itself, and until when it is shown
	until  time.Time
	denied error // we may not ask: waiting does not help
}

// Sequences of a terminal (xterm's ctlseqs): the alternate screen, without a cursor; and
// back, whatever was shown.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearRest   = "\x1b[J"
)

func (t *top) run(ctx context.Context, cfg *config.Config) error {
	out := t.a.stdout
	_, _, terminal := size(out)
	if terminal {
		fmt.Fprint(out, enterScreen)
		defer fmt.Fprint(out, leaveScreen)
	}
	ticker := time.NewTicker(t.interval)
	defer ticker.Stop()
	for n := 1; ; n++ {
		text := t.page(ctx, cfg, time.Now())
		if ctx.Err() != nil {
			return nil // it was interrupted while it asked
		}
		if t.denied != nil {
			return t.denied
		}
		if err := t.put(out, text, terminal); err != nil {
			return nil // who read the pages has enough
		}
		if n == t.count {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// put shows a page in place of the one before, or after it where there is no screen.
func (t *top) put(out io.Writer, text string, terminal bool) error {
	if !terminal {
		_, err := io.WriteString(out, text+"\n")
		return err
	}
	_, lines, _ := size(out)
	list := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if lines > 1 && len(list) > lines {
		list = append(list[:lines-1], fmt.Sprintf("… %d more lines", len(list)-lines+1))
	}
	_, err := io.WriteString(out, home+strings.Join(list, clearLine+"\r\n")+clearLine+clearRest)
	return err
}

// page asks the server and lays out what it says.
func (t *top) page(ctx context.Context, cfg *config.Config, now time.Time) string {
	p := t.a.newPage()
	s, err := daemon.AskStatus(ctx, cfg, t.a.env)
	switch {
	case err != nil && t.last != nil:
		p.line(dim, fmt.Sprintf("last seen %s ago: pid %d", lasted(now.Sub(t.lastAt)), t.last.PID))
	case err == nil && t.last != nil && !s.Started.Equal(t.last.Started):
		t.news, t.until = fmt.Sprintf("the server was restarted: pid %d is now %d", t.last.PID, s.PID), now.Add(time.Minute)
		t.last = nil
	}
	head := &page{width: p.width, color: p.color}
	head.line(dim, fmt.Sprintf("%s  every %s", now.Format("2006-01-02 15:04:05"), t.interval))
	if t.news != "" && now.Before(t.until) {
		head.wrapped(yellow, markWarn, t.news)
	}
	if errors.Is(err, fs.ErrPermission) {
		t.denied = err
	}
	if err != nil {
		head.wrapped(red, markBad, err.Error())
		return head.b.String() + p.b.String()
	}
	r := &reading{Status: s, now: now, before: t.last, passed: now.Sub(s.Started)}
	if t.last != nil {
		r.passed = now.Sub(t.lastAt)
	}
	r.show(p)
	t.last, t.lastAt = s, now
	return head.b.String() + p.b.String()
}
