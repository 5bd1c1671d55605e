package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"pmilter/internal/prefork"
)

// FaultError is why a process refused a set, in its words.
type FaultError struct{ Fault string }

func (e *FaultError) Error() string { return e.Fault }

// Try has a process that is there for it alone try a set. It gives what that has to
// remark. The error is a *FaultError, or says how the process ended.
func Try(ctx context.Context, command []string, set json.RawMessage) (remarks json.RawMessage, err error) {
	var mu sync.Mutex
	err = prefork.Try(ctx, prefork.Options{
		Args: command, Resident: true, KeepStderr: true, Setup: func() []byte { return setup{Trial: true, Data: set}.encode() },
		Hooks: prefork.Hooks{Note: func(_ int, data []byte) {
			if m, err := decode(data); err == nil && m.Word == wordReport {
				mu.Lock()
				defer mu.Unlock()
				remarks = m.Data
			}
		}},
	})
	var ended *prefork.NotReadyError
	switch {
	case !errors.As(err, &ended):
		return remarks, err
	case ended.Exit.Fault != "":
		return nil, &FaultError{ended.Exit.Fault}
	default:
		first, _, _ := strings.Cut(ended.Exit.Stderr, "\n") // of a runtime that died
		return nil, fmt.Errorf("the process that was to try the scripts ended: %s", strings.TrimSuffix(ended.Exit.Status+": "+first, ": "))
	}
}
