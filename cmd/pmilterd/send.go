package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pmilter/internal/milter"
	"pmilter/internal/mta"
)

// sendFlags are the flags of send.
type sendFlags struct {
	to, helo, clientIP, clientName, from, output string
	rcpts, macros                                []string
	json                                         bool
}

// newSendCommand plays the MTA against a running milter.
func newSendCommand(a *app) *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use:   "send [flags] FILE.eml...",
		Short: "Play the MTA: bring messages to a running milter and show its answers",
		Long: "Play the MTA: bring each FILE to a running milter, any milter, as Postfix does, one\n" +
			"SMTP session a message, and print each reply and modification. \"-\" is standard input.\n\n" +
			"Exit status 0 if the milter gave each message a verdict, whichever it was.",
		Example: "  pmilterd send --client-ip 192.0.2.7 --rcpt bob@example.net mail.eml",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%s needs a message: FILE.eml, or - for standard input", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.send(cmd.Context(), &f, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.to, "to", "inet:8890@127.0.0.1", "`ADDRESS` of the milter: inet:port@host, inet:host:port, unix:/path")
	flags.StringVar(&f.helo, "helo", "", "`NAME` in HELO (default the client's name)")
	flags.StringVar(&f.clientIP, "client-ip", "127.0.0.1", "`IP` address of the SMTP client")
	flags.StringVar(&f.clientName, "client-name", "", "host `NAME` of the SMTP client (default localhost, or none for other than the loopback)")
	flags.StringVar(&f.from, "from", "sender@example.org", "`ADDRESS` of the sender; \"\" for a bounce")
	flags.StringArrayVar(&f.rcpts, "rcpt", []string{"rcpt@example.net"}, "`ADDRESS` of a recipient; may be given several times")
	flags.StringArrayVar(&f.macros, "macro", nil, "macro `NAME=VALUE`, for example {auth_authen}=alice; may be given several times")
	flags.StringVar(&f.output, "output", "", "write the message as the milter left it to `FILE`; - is standard output")
	flags.BoolVar(&f.json, "json", false, "print one JSON object a message")
	return cmd
}

// send brings each file to the milter.
func (a *app) send(ctx context.Context, f *sendFlags, files []string) error {
	addr, err := milterAddr(f.to) //nolint:contextcheck // looks a port up in a local file at most
	if err != nil {
		return usagef("--to: %w", err)
	}
	tx, err := f.transaction()
	if err != nil {
		return err
	}
	if f.output != "" && len(files) > 1 {
		return usagef("--output is for one message, not for %d", len(files))
	}
	report := a.stdout
	if f.output == "-" {
		report = a.stderr // the message alone goes to standard output
	}
	var trouble error
	for _, file := range files {
		if tx.Message, err = a.readMessage(file); err != nil {
			return err
		}
		client, err := mta.Dial(ctx, addr.Network, addr.Address, mta.Options{})
		if err != nil {
			return fmt.Errorf("%w\nno milter answers at %s: start one, for example with 'pmilterd run', or name another with --to", err, f.to)
		}
		result, err := mta.Send(ctx, client, tx)
		if reportErr := f.report(report, file, result, err); reportErr != nil {
			return reportErr
		}
		if err != nil {
			complain(a.stderr, fmt.Errorf("%s: no verdict: %w", file, err))
			trouble = errReported
			continue
		}
		if err := a.writeMessage(f.output, file, result.Message); err != nil {
			return err
		}
	}
	return trouble
}

func milterAddr(s string) (milter.Addr, error) {
	addr, err := milter.ParseAddr(s)
	if err != nil {
		return addr, err
	}
	if addr.Network == "systemd" {
		return addr, fmt.Errorf("%q is no address to connect to", s)
	}
	// To listen on every address is to be found on the loopback.
	if port, ok := strings.CutPrefix(addr.Address, "0.0.0.0:"); ok {
		addr.Address = "127.0.0.1:" + port
	}
	return addr, nil
}

// transaction is the flags' part of a mail.
func (f *sendFlags) transaction() (mta.Transaction, error) {
	tx := mta.Transaction{Helo: f.helo, Sender: bare(f.from), Hostname: "mx.example.net", Macros: mta.Macros{}}
	ip, err := netip.ParseAddr(strings.TrimPrefix(f.clientIP, "IPv6:"))
	if err != nil {
		return tx, usagef("--client-ip: %q is no IP address", f.clientIP)
	}
	name := f.clientName
	if name == "" && ip.IsLoopback() {
		name = "localhost"
	}
	tx.Peer = mta.PeerOf(netip.AddrPortFrom(ip, 49152), name)
	if tx.Helo == "" {
		tx.Helo = tx.Peer.Name
	}
	for _, r := range f.rcpts {
		if bare(r) == "" {
			return tx, usagef("--rcpt: an address is missing")
		}
		tx.Recipients = append(tx.Recipients, mta.Recipient{Address: bare(r)})
	}
	for _, m := range f.macros {
		name, value, ok := strings.Cut(m, "=")
		if !ok || name == "" {
			return tx, usagef("--macro: %q is not NAME=VALUE", m)
		}
		tx.Macros.Set(name, value)
	}
	for _, s := range append([]string{tx.Helo, tx.Sender, name}, f.rcpts...) {
		if strings.ContainsAny(s, "\x00\r\n") {
			return tx, usagef("%q has a line break", s)
		}
	}
	tx.Received, tx.Date = true, time.Now()
	return tx, nil
}

// bare is an address without angle brackets.
func bare(address string) string {
	address = strings.TrimSpace(address)
	if inner, ok := strings.CutPrefix(address, "<"); ok {
		return strings.TrimSuffix(inner, ">")
	}
	return address
}

func (a *app) readMessage(file string) ([]byte, error) {
	if file == "-" {
		data, err := io.ReadAll(a.stdin)
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return data, nil
	}
	return os.ReadFile(file)
}

// writeMessage writes what is delivered, with LF line ends; nothing for a
// message that was refused or discarded.
func (a *app) writeMessage(output, file string, m *mta.Message) error {
	switch {
	case output == "":
		return nil
	case m == nil:
		complain(a.stderr, fmt.Errorf("%s: there is no message to write: it was not accepted", file))
		return nil
	case output == "-":
		_, err := m.WriteLF(a.stdout)
		return err
	}
	out, err := os.Create(output)
	if err != nil {
		return err
	}
	_, err = m.WriteLF(out)
	return errors.Join(err, out.Close())
}
