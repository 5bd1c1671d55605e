package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"unicode"

	"github.com/spf13/cobra"

	"pmilter/internal/config"
	"pmilter/internal/daemon"
)

// The exit status of every command.
const (
	exitDone  = 0
	exitFault = 1 // a fault in what the user gave
	exitUsage = 2 // wrong usage
)

// app is all that a command may use of the world outside.
type app struct {
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	env     func(name string) (string, bool)
	version string // "v1.2.3", as shown to users

	// hangup gives a channel that gets SIGHUP until stop is called. A command
	// that does not ask for it ends at a SIGHUP, as programs do.
	hangup func() (c <-chan os.Signal, stop func())
	// upgrade is the same of SIGUSR2.
	upgrade func() (c <-chan os.Signal, stop func())

	configFile string // of -c, see configFlag
}

// commands is the one list of commands: add yours here.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		newRunCommand(a),
		newCheckCommand(a),
		newTryCommand(a, daemon.Try),
		newTestCommand(a),
		newInitCommand(a),
		newSendCommand(a),
		newBenchCommand(a),
		newStatusCommand(a),
		newExplainCommand(a),
		newTopCommand(a),
		newWorkerCommand(),
		newQueueCommand(a),
		newManCommand(a),
		newVersionCommand(a),
	}
}

// errReported is returned by a command that has told the user what is wrong
// itself, for example check: exit status 1, and nothing more is printed.
var errReported = errors.New("reported")

// usageError is wrong usage that a command finds only when it runs: exit
// status 2. What cobra finds (flags, number of arguments) is one by itself.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef makes a usageError.
func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// run is the whole program but for the process around it: it parses args (the
// command line without the program's name), runs the command and gives the
// exit status. It returns soon after ctx is done.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer,
	env func(string) (string, bool),
) int {
	a := &app{
		stdin: stdin, stdout: stdout, stderr: stderr, env: env,
		version: readVersion(), hangup: notifyOf(syscall.SIGHUP), upgrade: notifyOf(syscall.SIGUSR2),
	}
	return a.run(ctx, args, a.commands()) //nolint:contextcheck // commands get it from cobra
}

// run runs the one of commands that args name.
func (a *app) run(ctx context.Context, args []string, commands []*cobra.Command) (status int) {
	defer func() {
		if p := recover(); p != nil {
			complain(a.stderr, fmt.Errorf("internal error: %s (at %s); this is a bug in pmilterd %s, please report it",
				printable(fmt.Sprint(p)), panicPlace(), a.version))
			status = exitFault
		}
	}()

	root, started := newRootCommand(a, commands)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	var usage *usageError
	if *started && !errors.As(err, &usage) {
		if !errors.Is(err, errReported) {
			complain(a.stderr, err)
		}
		return exitFault
	}
	complain(a.stderr, fmt.Errorf("%w\nsee '%s --help'", err, cmd.CommandPath()))
	return exitUsage
}

// newRootCommand builds the tree of commands. started becomes true when a
// command's own code begins: an error before that is wrong usage.
func newRootCommand(a *app, commands []*cobra.Command) (root *cobra.Command, started *bool) {
	root = &cobra.Command{
		Use:   "pmilterd",
		Short: "A programmable milter server",
		Long: "pmilterd is a programmable milter server: Postfix or Sendmail asks it about each\n" +
			"phase of an SMTP session, and scripts in JavaScript or TypeScript answer.\n\n" +
			"Exit status: 0 done, 1 a fault in what was given, 2 wrong usage.",
		Version:       a.version,
		SilenceErrors: true, // run prints them
		SilenceUsage:  true,
	}
	root.SetVersionTemplate(versionLine(a.version))
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.AddCommand(commands...)
	root.SetHelpCommand(newHelpCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	started = new(bool)
	prepare(root, started)
	return root, started
}

// prepare has every command below cmd say when it starts, and makes a command
// that only groups others complain when it is called without one of them.
func prepare(cmd *cobra.Command, started *bool) {
	for _, sub := range cmd.Commands() {
		prepare(sub, started)
	}
	inner := cmd.RunE
	if inner == nil && cmd.Run != nil {
		innerRun := cmd.Run
		inner = func(c *cobra.Command, args []string) error { innerRun(c, args); return nil }
	}
	if inner == nil {
		inner = needCommand
		if cmd.HasParent() {
			cmd.Args = cobra.ArbitraryArgs // needCommand names the wrong one
		}
	}
	cmd.RunE = func(c *cobra.Command, args []string) error {
		*started = true
		return inner(c, args)
	}
}

func needCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown command %q for %q", args[0], cmd.CommandPath())
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return usagef("a command is missing: %s", strings.Join(names, ", "))
}

// newHelpCommand is cobra's own, but for an exit status when there is no such
// command.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about a command",
		RunE: func(c *cobra.Command, args []string) error {
			cmd, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("no help about %q", strings.Join(args, " "))
			}
			return cmd.Help()
		},
	}
}

// configFlag gives cmd the flag -c; the value is in a.configFile.
func (a *app) configFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&a.configFile, "config", "c", "",
		"configuration `FILE` (default $PMILTER_CONFIG, ./pmilter.toml, /etc/pmilter/pmilter.toml)")
}

// loadConfig reads the configuration that -c names, or else the first of the
// usual places; with none of these the defaults apply. The error may be a
// config.Errors, with a line for each fault.
func (a *app) loadConfig() (*config.Config, error) {
	path := a.configFile
	if path == "" {
		var ok bool
		if path, ok = config.Find(a.env); !ok {
			return config.Default(), nil
		}
	}
	return config.Load(path, a.env)
}

// noArgs is cobra.NoArgs with words that fit a command without subcommands.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments: %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// notifyOf gives a function that gives a channel of a signal.
func notifyOf(sig os.Signal) func() (<-chan os.Signal, func()) {
	return func() (<-chan os.Signal, func()) {
		c := make(chan os.Signal, 1)
		signal.Notify(c, sig)
		return c, func() { signal.Stop(c) }
	}
}

// complain prints an error the way all commands do. Each line of it is a line
// of its own; other control characters, which may come from a server or a
// mail, are shown harmlessly.
func complain(w io.Writer, err error) {
	for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
		fmt.Fprintf(w, "pmilterd: %s\n", printable(line))
	}
}

// printable replaces what could move the cursor or forge a line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// panicPlace names the first of our functions below a panic, from a deferred
// function. A whole stack is nothing to show to a user.
func panicPlace() string {
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(3, pc)])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") && f.File != "" {
			return fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
		}
		if !more {
			return "an unknown place"
		}
	}
}
