package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"

	"pmilter/internal/milter"
)

// sockets is all that the process listens on, each by a name, so that a server that
// takes over finds what it wants under the same name and what it does not want stays
// with the old one. Safe for concurrent use.
type sockets struct {
	mu        sync.Mutex
	open      []namedListener
	inherited map[string][]*os.File // that were handed over and nobody asked for yet
	taken     []string              // names of those that somebody asked for
}

// namedListener is a listener with what it is for: "milter inet:127.0.0.1:8890".
type namedListener struct {
	net.Listener
	name   string
	rights milter.SocketOptions
}

// listen gives the listeners of an address: those that were handed over under that
// purpose and address, else new ones. Nothing may be accepted before the server serves:
// until then the old one may go on. They are closed by close.
func (s *sockets) listen(ctx context.Context, purpose string, addr milter.Addr, o milter.SocketOptions) ([]namedListener, error) {
	name := purpose + " " + addr.String()
	s.mu.Lock()
	files := s.inherited[name]
	delete(s.inherited, name)
	s.mu.Unlock()
	var opened []net.Listener
	var err error
	if len(files) > 0 {
		opened, err = inherit(files, addr)
		if err == nil {
			err = o.Check() // they are set by own: until then the old server's hold
		}
	} else {
		opened, err = milter.Listen(ctx, addr, o)
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(files) > 0 {
		s.taken = append(s.taken, name)
	}
	list := make([]namedListener, len(opened))
	for i, l := range opened {
		list[i] = namedListener{l, name, o}
	}
	s.open = append(s.open, list...)
	return list, nil
}

func inherit(files []*os.File, addr milter.Addr) (list []net.Listener, err error) {
	for _, f := range files {
		if err != nil {
			_ = f.Close()
			continue
		}
		var l net.Listener
		if addr.Network == "unix" {
			l, err = milter.InheritUnix(f, addr.Address)
		} else {
			l, err = milter.Inherit(f)
		}
		if err == nil {
			list = append(list, l)
		}
	}
	if err != nil {
		for _, l := range list {
			_ = l.Close()
		}
		return nil, err
	}
	return list, nil
}

// close closes listeners.
func (s *sockets) close(list ...namedListener) {
	s.mu.Lock()
	s.open = slices.DeleteFunc(s.open, func(l namedListener) bool { return slices.Contains(list, l) })
	s.mu.Unlock()
	for _, l := range list {
		_ = l.Close()
	}
}

// closeAll closes what is open, and what was handed over and nobody wanted.
func (s *sockets) closeAll() {
	s.mu.Lock()
	open := slices.Clone(s.open)
	s.mu.Unlock()
	s.close(open...)
	s.drop()
}

func (s *sockets) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, files := range s.inherited {
		for _, f := range files {
			_ = f.Close()
		}
	}
	s.inherited = nil
}

// files is a copy of each socket, for a server that takes over.
func (s *sockets) files() (names []string, files []*os.File, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.open {
		f, err := milter.Handover(l.Listener)
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("daemon: %w", err), closeFiles(files))
		}
		names, files = append(names, l.name), append(files, f)
	}
	return names, files, nil
}

func closeFiles(files []*os.File) error {
	var faults []error
	for _, f := range files {
		faults = append(faults, f.Close())
	}
	return errors.Join(faults...)
}

// leave has the paths of those names stay: they are another server's now.
func (s *sockets) leave(names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.open {
		if slices.Contains(names, l.name) {
			milter.Own(l.Listener, false)
		}
	}
}

// own makes what was handed over and is in use ours, and drops the rest. It gives the
// names of the former. An error is about rights that could not be set.
func (s *sockets) own() (taken []string, err error) {
	s.drop()
	s.mu.Lock()
	defer s.mu.Unlock()
	var faults []error
	for _, l := range s.open {
		milter.Own(l.Listener, true)
		if slices.Contains(s.taken, l.name) {
			faults = append(faults, milter.Permit(l.Listener, l.rights))
		}
	}
	return s.taken, errors.Join(faults...)
}
