package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"pmilter/internal/maildir"
	"pmilter/script"
)

// scriptMaildirs are the Maildirs that jobs may deliver to: those in the folders of
// permissions.maildir. Safe for concurrent use.
type scriptMaildirs struct {
	base    string
	folders []string

	mu   sync.Mutex
	open map[string]*maildir.Maildir
}

var _ script.Maildirs = (*scriptMaildirs)(nil)

// notAllowedError is a Maildir that is in none of the folders.
type notAllowedError struct{ path string }

func (e *notAllowedError) Error() string {
	return fmt.Sprintf("%s is in no folder that may be delivered to: add one to [permissions] maildir", e.path)
}

// Name is what scripts know the error by.
func (e *notAllowedError) Name() string { return "PermissionError" }

// maxOpen bounds what is remembered: dated Maildirs come and go.
const maxOpen = 256

// Deliver implements script.Maildirs. Line ends are stored as LF, as MTAs do.
func (s *scriptMaildirs) Deliver(_ context.Context, path, id string, message []byte) (string, bool, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.base, path)
	}
	path = filepath.Clean(path)
	m, err := s.maildir(path)
	if err != nil {
		return "", false, err
	}
	write := func(w io.Writer) error {
		_, err := w.Write(bytes.ReplaceAll(message, []byte("\r\n"), []byte("\n")))
		return err
	}
	if id != "" {
		return m.DeliverOnce(id, write)
	}
	file, err := m.Deliver(write)
	return file, true, err
}

func (s *scriptMaildirs) maildir(path string) (*maildir.Maildir, error) {
	if strings.ContainsRune(path, 0) || !s.allowed(path) {
		return nil, &notAllowedError{path}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.open[path]; m != nil {
		if _, err := os.Stat(filepath.Join(path, "tmp")); err == nil {
			return m, nil
		}
	}
	m, err := maildir.Open(path)
	if err != nil {
		return nil, err
	}
	if len(s.open) >= maxOpen {
		clear(s.open)
	}
	s.open[path] = m
	return m, nil
}

// allowed tells whether path is in, or is, one of the folders. That one must be there:
// a mount that is missing is not made up for. Links within are the administrator's.
func (s *scriptMaildirs) allowed(path string) bool {
	for _, folder := range s.folders {
		if path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/") {
			info, err := os.Stat(folder)
			return err == nil && info.IsDir()
		}
	}
	return false
}
