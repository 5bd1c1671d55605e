package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pmilter/internal/manual"
)

// newManCommand writes the manual pages, for who makes packages: hidden, as a user has
// the pages.
func newManCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "man README FOLDER",
		Short: "Write the manual pages into a folder",
		Long: "Write the manual pages into FOLDER: one for each command, and pmilter.toml(5), which is\n" +
			"made of the tables in README. Their date is $SOURCE_DATE_EPOCH, else now.",
		Args:   exactArgs(2),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			readme, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			return a.writeManual(cmd.Root(), string(readme), args[1])
		},
	}
}

// exactArgs is cobra.ExactArgs with words of ours.
func exactArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("%s takes %d arguments, not %d", cmd.CommandPath(), n, len(args))
		}
		return nil
	}
}

func (a *app) writeManual(root *cobra.Command, readme, folder string) error {
	date := time.Now()
	if epoch, ok := a.env("SOURCE_DATE_EPOCH"); ok {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
		date = time.Unix(seconds, 0)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, page := range append(manualOf(root, readme), manual.Configuration(readme)) {
		if err := os.WriteFile(filepath.Join(folder, page.File()), page.Render(a.version, date), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// manualOf is the pages of cmd and of all commands below it that a user may see.
func manualOf(cmd *cobra.Command, readme string) []manual.Page {
	pages := []manual.Page{commandPage(cmd, readme)}
	for _, sub := range cmd.Commands() {
		if isShown(sub) {
			pages = append(pages, manualOf(sub, readme)...)
		}
	}
	return pages
}

func isShown(c *cobra.Command) bool { return !c.Hidden && c.Name() != "help" }

// pageName is what man(1) calls a command: "pmilterd-queue-ls".
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func commandPage(c *cobra.Command, readme string) manual.Page {
	c.InitDefaultHelpFlag()
	c.InitDefaultVersionFlag()
	var b strings.Builder
	about := c.Long
	if about == "" {
		about = c.Short + "."
	}
	synopsis := c.UseLine()
	if !c.HasParent() {
		synopsis = c.Name() + " COMMAND [flags]"
	}
	b.WriteString("# SYNOPSIS\n**" + manual.Text(synopsis) + "**\n\n# DESCRIPTION\n" + manual.Paragraphs(about))
	var commands, options strings.Builder
	for _, sub := range c.Commands() {
		if isShown(sub) {
			commands.WriteString(manual.Entry("**"+manual.Text(pageName(sub))+"(1)**", manual.Text(sub.Short)))
		}
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			options.WriteString(flagEntry(f))
		}
	})
	titled(&b, "COMMANDS", commands.String())
	titled(&b, "OPTIONS", options.String())
	if c.Example != "" {
		titled(&b, "EXAMPLES", "```\n"+c.Example+"\n```\n")
	}
	see := "**pmilter.toml(5)**\n"
	if c.HasParent() {
		see = "**" + manual.Text(pageName(c.Parent())) + "(1)**, " + see
	}
	if !c.HasParent() || c.Name() == "run" {
		titled(&b, "SIGNALS", manual.Section(readme, "Signals"))
	}
	if !c.HasParent() {
		titled(&b, "FILES", manual.Entry("pmilter.toml",
			"the configuration: the file of \\-c, else the one that $PMILTER\\_CONFIG names, else ./pmilter.toml, else /etc/pmilter/pmilter.toml"))
	}
	titled(&b, "SEE ALSO", see)
	return manual.Page{Name: pageName(c), Section: 1, About: c.Short, Body: b.String()}
}

// titled adds a section, unless it would be empty.
func titled(b *strings.Builder, title, text string) {
	if text != "" {
		b.WriteString("# " + title + "\n" + text + "\n")
	}
}

// flagEntry is a flag as its help shows it.
func flagEntry(f *pflag.Flag) string {
	value, usage := pflag.UnquoteUsage(f)
	term := "**" + manual.Text("--"+f.Name) + "**"
	if f.Shorthand != "" {
		term = "**" + manual.Text("-"+f.Shorthand) + "**, " + term
	}
	if value != "" {
		term += " *" + manual.Text(value) + "*"
	}
	switch f.DefValue {
	case "", "false", "[]", "0", "0s":
	default:
		usage += " (default " + f.DefValue + ")"
	}
	return manual.Entry(term, manual.Text(usage))
}
