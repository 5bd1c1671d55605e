package main

import (
	"github.com/spf13/cobra"

	"pmilter/internal/daemon"
)

// workerCommand is what the server calls its own binary with.
const workerCommand = "worker"

// newWorkerCommand is a worker process: the server starts it, nobody else.
func newWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    workerCommand,
		Short:  "A worker process: the server starts it",
		Args:   noArgs,
		Hidden: true,
		RunE:   func(cmd *cobra.Command, _ []string) error { return daemon.Work(cmd.Context()) },
	}
}
