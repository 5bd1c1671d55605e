package script

import (
	"context"
	"time"

	"go.uber.org/zap"

	"pmilter/filter"
)

// Bench is what tests of scripts are made on. It is implemented above this
// package, which knows neither the configured filters nor the wire. Safe for
// concurrent use: files run in parallel.
type Bench interface {
	// Begin makes what one test stands on: nothing in it is left of another test.
	// ctx ends when the test has run out of time, at the latest.
	Begin(ctx context.Context) (Stand, error)
}

// Stand is one test's own world outside. Its methods are called from one goroutine.
type Stand interface {
	// Clock is held by the test while it runs; see Clock.
	Clock() Clock
	// Advance moves the clock and has what is due on the way happen, in order.
	Advance(d time.Duration)
	// Set puts the clock to a time. An error: it would go back in a session.
	Set(t time.Time) error
	// Services are those of the test's own calls, the same that its sessions get.
	Services() Services
	Log() *zap.Logger
	// Answer is a call of a canned module: vars.set, dns.answer. The arguments are
	// strings, numbers, booleans, nil, []byte, and lists and maps of these. An
	// error is a mistake in the test.
	Answer(module, function string, args []any) error
	// Open begins an SMTP session. It starts the scripts as the server would. An
	// error may be Faults.
	Open(ctx context.Context, o SessionOptions) (TestSession, error)
	// Job runs a job's script as a worker would. An error may be Faults: how the
	// script ended is none.
	Job(ctx context.Context, o TestJob) (TestJobResult, error)
	// End ends the sessions that are open and returns what was logged: what
	// scripts printed, and what went wrong in them, one line each.
	End() []string
}

// TestSession is an SMTP session of a test, through a whole server. Its methods
// are called one at a time. An error says that the test asked for what an MTA
// would not do, or that the filter broke the protocol.
type TestSession interface {
	Do(ctx context.Context, step TestStep) (Answer, error)
}

// SessionOptions is session()'s argument. The zero value is an ordinary client.
type SessionOptions struct {
	Client   TestClient        `json:"client"`
	Helo     string            `json:"helo"`
	TLS      *TestTLS          `json:"tls"`
	Auth     *TestAuth         `json:"auth"`
	Macros   map[string]string `json:"macros"`
	Scripts  *[]string         `json:"scripts"` // nil: those of the configuration
	Hostname string            `json:"hostname"`
	Protocol uint32            `json:"protocol"` // version, 0: 6
}

// TestClient is the SMTP client. What is not given is nil.
type TestClient struct {
	IP     *string `json:"ip"`
	Port   *int    `json:"port"`
	Name   *string `json:"name"`
	Family string  `json:"family"`
}

// TestTLS is session.tls of the filters.
type TestTLS struct {
	Version string `json:"version"`
	Cipher  string `json:"cipher"`
	Bits    int    `json:"bits"`
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"`
}

// TestAuth is session.auth of the filters.
type TestAuth struct {
	User   string `json:"user"`
	Method string `json:"method"`
	Author string `json:"author"`
}

// TestPath is an envelope address with its ESMTP parameters.
type TestPath struct {
	Address string
	Params  []string
}

// TestStep is one method of a session.
type TestStep struct {
	Do      string     // connect helo mail rcpt data message send unknown rset quit
	Text    string     // helo: the name, "" for the session's; unknown: the command
	From    *TestPath  // mail, send
	To      []TestPath // rcpt: one; send: nil for a default
	Message []byte     // message, send; nil for a plain one
}

// Answer is what the filter said to a step.
type Answer struct {
	Verdict  string // continue accept reject tempfail discard
	Phase    string // in which it was decided
	Code     int
	Enhanced string
	Text     string
	Script   string // that decided, "" for none
	Line     int    // of it
	Fault    string // of the script, when on_error gave the verdict
	// WouldBe is what scripts with options.observe would have done in this step.
	WouldBe []Answer
	// Of send: the recipients that were refused.
	Refused []RefusedRecipient
	Notes   []filter.Note
	Queued  []Queued // the events that the step left in queues
	// Delivered is set when a message has come to its end.
	Delivered *Delivered
}

// RefusedRecipient is one recipient that was refused, and why.
type RefusedRecipient struct {
	Recipient string
	Answer    Answer
}

// Delivered is a message as the MTA would pass it on. Of one that was refused or
// discarded all is empty.
type Delivered struct {
	Headers    []filter.Field // without the MTA's own Received
	Body       string         // CRLF
	Sender     string
	Recipients []string
	Quarantine string // reason, "" for none
}

// Queued is an event that the message left in a queue.
type Queued struct {
	Queue string
	When  string // "accepted" or "any"
	Data  any    // JSON
}

// TestReport is what became of one test.
type TestReport struct {
	File     string   // as users see it
	Path     []string // the names of what it is in, and its own
	Line     int      // where it is declared
	Status   TestStatus
	Why      string // it was skipped, if that is not its own wish
	Duration time.Duration
	Failure  *Failure // of a failed one
	Log      []string // see Stand.End
}

// TestStatus is passed, failed or skipped.
type TestStatus uint8

// What can become of a test.
const (
	Passed TestStatus = iota
	Failed
	Skipped
)

// String is one word.
func (s TestStatus) String() string {
	return [...]string{"passed", "failed", "skipped"}[min(s, Skipped)]
}

// Failure is why a test failed.
type Failure struct {
	Message string // some lines; those of a diff begin with "- " and "+ "
	Pos     filter.Position
	Stack   string // the author's frames, one a line
}

// Surroundings are what the worlds of a Set may differ in.
type Surroundings struct {
	Clock    Clock
	Services Services
	Log      *zap.Logger
}
