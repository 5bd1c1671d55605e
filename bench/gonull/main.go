// Gonull is a null filter on the server of github.com/emersion/go-milter, a peer
// for the benchmark: every phase is asked for and answered with continue.
//
//	gonull /tmp/gonull.sock
package main

import (
	"fmt"
	"net"
	"os"

	"github.com/emersion/go-milter"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // a program of its own, for make bench
	}
}

// run serves until the process is killed.
func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: gonull SOCKET")
	}
	l, err := net.Listen("unix", args[0]) //nolint:noctx // nothing ever cancels it
	if err != nil {
		return fmt.Errorf("gonull: %w", err)
	}
	server := milter.Server{NewMilter: func() milter.Milter { return milter.NoOpMilter{} }}
	return server.Serve(l)
}
