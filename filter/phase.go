package filter

// Phase is one step of an SMTP session at which scripts are asked.
type Phase uint8

// The phases, in the order a session meets them. The comments name libmilter's callbacks.
const (
	Connect   Phase = iota // xxfi_connect
	Helo                   // xxfi_helo
	Mail                   // xxfi_envfrom
	Rcpt                   // xxfi_envrcpt
	Data                   // xxfi_data
	Header                 // xxfi_header
	EOH                    // xxfi_eoh
	Body                   // xxfi_body
	EOM                    // xxfi_eom
	Abort                  // xxfi_abort
	Close                  // xxfi_close
	Unknown                // xxfi_unknown
	NumPhases = int(Unknown) + 1
)

// String is the name of the phase's handler in a script.
func (p Phase) String() string {
	names := [NumPhases]string{
		"connect", "helo", "mail", "rcpt", "data", "header", "eoh", "body", "eom", "abort", "close", "unknown",
	}
	if int(p) >= NumPhases {
		return "phase?"
	}
	return names[p]
}

// PhaseOf is the phase whose handler has that name.
func PhaseOf(name string) (Phase, bool) {
	for p := range Phase(NumPhases) {
		if p.String() == name {
			return p, true
		}
	}
	return 0, false
}

// Phases is a set of phases.
type Phases uint16

// With is the set with p in it.
func (s Phases) With(p Phase) Phases { return s | 1<<p }

// Has tells whether p is in the set.
func (s Phases) Has(p Phase) bool { return s&(1<<p) != 0 }
