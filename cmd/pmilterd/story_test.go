package main

import (
	"bufio"
	"errors"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// storyPatience is how long a story waits for what should be there at once.
const storyPatience = 2 * time.Minute

// storyCommands are what the stories in testdata know besides testscript's own.
func storyCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"await":  storyAwait,
		"signal": storySignal,
		"smtp":   storySMTP,
	}
}

// storyAwait waits until a file that is being written matches an expression;
// with a NAME, the environment gets the first group.
//
//	await FILE REGEXP [NAME]
func storyAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: await FILE REGEXP [NAME]")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	for deadline := time.Now().Add(storyPatience); ; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(ts.MkAbs(args[0])) // not there yet, perhaps
		if m := re.FindSubmatch(text); m != nil {
			if len(args) == 3 {
				ts.Setenv(args[2], string(m[1]))
			}
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no match for %#q in %s (%v):\n%s", args[1], args[0], err, text)
		}
	}
}

// storySignal sends a signal to the commands of pmilterd of that name that run
// in the background.
//
//	signal HUP|TERM|USR2 COMMAND
func storySignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "USR2": syscall.SIGUSR2}
	if neg || len(args) != 2 || signals[args[0]] == nil {
		ts.Fatalf("usage: signal HUP|TERM|USR2 COMMAND")
	}
	running := 0
	for _, cmd := range ts.BackgroundCmds() {
		if !strings.Contains(strings.Join(cmd.Args, " "), "pmilterd "+args[1]+" ") {
			continue
		}
		switch err := cmd.Process.Signal(signals[args[0]]); {
		case err == nil:
			running++
		case !errors.Is(err, os.ErrProcessDone):
			ts.Fatalf("%v: %v", cmd.Args, err)
		}
	}
	if running != 1 {
		ts.Fatalf("%d commands pmilterd %s run in the background", running, args[1])
	}
}

// storySMTP plays an SMTP client. A line of the dialogue that begins with "> " is
// sent, one that begins with "< " is an expression for the next reply.
//
//	smtp ADDRESS DIALOGUE
func storySMTP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: smtp ADDRESS DIALOGUE")
	}
	conn, err := net.Dial("tcp", args[0])
	ts.Check(err)
	defer conn.Close()
	ts.Check(conn.SetDeadline(time.Now().Add(storyPatience)))
	replies := bufio.NewScanner(conn)
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		line = strings.TrimSuffix(line, "\n")
		if sent, ok := strings.CutPrefix(line, "> "); ok {
			_, err := conn.Write([]byte(sent + "\r\n"))
			ts.Check(err)
			continue
		}
		want, ok := strings.CutPrefix(line, "< ")
		if !ok {
			ts.Fatalf("%s: neither sent nor expected: %q", args[1], line)
		}
		reply := ""
		for replies.Scan() {
			reply += replies.Text() + "\n"
			if len(replies.Text()) < 4 || replies.Text()[3] != '-' {
				break
			}
		}
		ts.Check(replies.Err())
		if matched, err := regexp.MatchString("^"+want, reply); !matched || err != nil {
			ts.Fatalf("%s: got %q, want %q (%v)", args[1], reply, want, err)
		}
	}
}
