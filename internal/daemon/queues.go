package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"pmilter/filter"
	"pmilter/internal/config"
	"pmilter/internal/event"
	"pmilter/internal/queue"
)

// queues is the queues of one configuration.
type queues struct {
	log    *zap.Logger
	list   []*queue.Queue
	byName map[string]*queue.Queue
	writer *queue.Writer
}

var _ filter.Spool = (*queues)(nil)

// newQueues makes the queues that cfg has and nothing on the disk.
func newQueues(cfg *config.Config, log *zap.Logger) *queues {
	s := &queues{log: log, byName: map[string]*queue.Queue{}, writer: queue.NewWriter()}
	for _, c := range cfg.Queues {
		q := queue.New(queue.Options{Name: c.Name, Path: c.Maildir, Keep: c.Keep, Log: log})
		s.list = append(s.list, q)
		s.byName[c.Name] = q
	}
	return s
}

// create makes the Maildirs that are missing. One that cannot be made is logged:
// until it is there, mail for it is put off, and all other mail goes on.
func (s *queues) create() {
	for _, q := range s.list {
		err := q.Create()
		if err == nil {
			err = q.Check()
		}
		if err != nil {
			s.log.Error("queue cannot be written: mail for it is put off", zap.String("queue", q.Name()), zap.Error(err))
		}
	}
}

// sweepEvery is how often what writers left in tmp/ is looked for.
const sweepEvery = time.Hour

// sweepQueues removes what died in tmp/ of the queues in use until stop is called, which
// waits for it.
func sweepQueues(ctx context.Context, queues *atomic.Pointer[queues]) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(sweepEvery)
		defer ticker.Stop()
		for {
			queues.Load().sweep()
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return func() { cancel(); <-done }
}

func (s *queues) sweep() {
	for _, q := range s.list {
		switch n, err := q.Sweep(); {
		case err != nil:
			s.log.Warn("queue cannot be swept", zap.String("queue", q.Name()), zap.Error(err))
		case n > 0:
			s.log.Info("queue swept of what was not finished", zap.String("queue", q.Name()), zap.Int("files", n))
		}
	}
}

// Has implements filter.Spool.
func (s *queues) Has(name string) bool { return s.byName[name] != nil }

// Names implements filter.Spool.
func (s *queues) Names() []string {
	names := make([]string, len(s.list))
	for i, q := range s.list {
		names[i] = q.Name()
	}
	return names
}

// Put implements filter.Spool.
func (s *queues) Put(ctx context.Context, m *filter.QueuedMail, free func()) error {
	entries := make([]queue.Entry, len(m.Events))
	for i, asked := range m.Events {
		entries[i] = queue.Entry{Queue: s.byName[asked.Queue], Event: &event.Event{
			QueueID: m.QueueID, Client: event.Client(m.Client), Helo: m.Helo, Sender: m.Sender, Recipients: m.Recipients,
			Verdict: m.Verdict, Complete: m.Complete, Data: asked.Data,
		}}
	}
	if err := s.writer.Put(ctx, entries, free, m.Header, m.Body); err != nil {
		return err
	}
	for i, e := range entries {
		m.Events[i].ID = e.Event.ID
	}
	return nil
}

// describeQueues is a line for each queue, and what is wrong with it: check makes nothing.
func describeQueues(cfg *config.Config) []string {
	var lines []string
	for i, q := range newQueues(cfg, zap.NewNop()).list {
		line := "queue " + q.Name() + ": " + q.Path()
		if job := cfg.Queues[i].Job; job != "" {
			line += ", job " + job
		}
		lines = append(lines, line)
		switch err := q.Check(); {
		case errors.Is(err, os.ErrNotExist) && isFolder(filepath.Dir(q.Path())):
			lines = append(lines, "queue "+q.Name()+": note: the Maildir is made at start")
		case err != nil:
			lines = append(lines, "warning: "+err.Error()+": mail for this queue will be put off")
		}
	}
	return lines
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// checkJobs tells of job scripts that are not there.
func checkJobs(cfg *config.Config) error {
	var faults []error
	for _, q := range cfg.Queues {
		if q.Job == "" {
			continue
		}
		info, err := os.Stat(q.Job)
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is no file", q.Job)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("queue.%s.job: %w", q.Name, err))
		}
	}
	return errors.Join(faults...)
}
