package daemon

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"

	"go.uber.org/zap"

	"pmilter/internal/store"
)

// storeFD is where a worker finds its socket to the server's store.
const storeFD = 4

// storeShare serves the server's store to its worker processes.
type storeShare struct {
	store   store.Store
	log     *zap.Logger
	serving sync.WaitGroup // to each
}

// inherit serves the store to a worker that is about to be started, until that has
// ended or ctx is done, and gives the worker's end.
func (s *storeShare) inherit(ctx context.Context) (*os.File, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("daemon: store for a worker: %w", err)
	}
	s.serving.Go(func() {
		if err := store.Serve(ctx, ours, s.store); err != nil {
			s.log.Warn("a worker's store", zap.Error(err))
		}
	})
	return theirs, nil
}

// inheritStore makes the server's store that of a worker.
func (s *Services) inheritStore() error {
	conn, err := inheritedConn(storeFD)
	if err != nil {
		return fmt.Errorf("daemon: worker: store: %w", err)
	}
	s.store.Use(store.NewClient(conn)) // not the one of a process alone
	return nil
}

func inheritedConn(fd uintptr) (net.Conn, error) {
	file := os.NewFile(fd, "inherited")
	defer file.Close() // the connection is a duplicate, which programs do not inherit
	return net.FileConn(file)
}
