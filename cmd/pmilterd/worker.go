package main

import (
	"github.com/spf13/cobra"

	"pmilter/internal/daemon"
)

// workerCommand is what the server calls its own binary with.
const workerCommand = "worker"

// newWorkerCommand is a worker process, of jobs or, as "worker serve", of milter connections: the server starts it, nobody else.
func newWorkerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:    workerCommand,
		Short:  "A worker process: the server starts it",
		Args:   noArgs,
		Hidden: true,
		RunE:   func(cmd *cobra.Command, _ []string) error { return daemon.Work(cmd.Context()) },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "serve",
		Short: "A process that serves milter connections",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return daemon.ServeWork(cmd.Context()) },
	})
	return cmd
}
