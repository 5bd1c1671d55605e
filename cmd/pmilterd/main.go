// Command pmilterd is a programmable milter server: Postfix or Sendmail asks
// it about each SMTP phase, and scripts in JavaScript or TypeScript answer.
//
// This package has the commands, their flags and the exit status; what they do
// lives in the packages below.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// main only wires the process to run, which a test can call too.
func main() {
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		// The first signal asks us to stop; from before that is begun a second
		// one has its usual effect, so that nobody is held up by a drain.
		signal.Stop(signals)
		stop()
	}()
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.LookupEnv)
	stop()
	os.Exit(status)
}
