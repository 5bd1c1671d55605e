package filter

import (
	wire "github.com/emersion/go-milter"

	"pmilter/internal/milter"
)

// needs is what a set of scripts wants to hear of.
type needs struct {
	any           bool // there is at least one handler
	phases        Phases
	headers, body bool
	earlyHeader   bool // a script answers header, eoh or body at once
	earlyEOH      bool
	earlyBody     bool
}

func needsOf(scripts []Script) needs {
	var n needs
	for _, s := range scripts {
		n.phases |= s.Phases
		n.headers = n.headers || s.Headers
		n.body = n.body || s.Body
		if s.Early {
			n.earlyHeader = n.earlyHeader || s.Phases.Has(Header)
			n.earlyEOH = n.earlyEOH || s.Phases.Has(EOH)
			n.earlyBody = n.earlyBody || s.Phases.Has(Body)
		}
	}
	n.any = n.phases != 0
	return n
}

// ask is the answer to an offer: phases that nobody needs are negotiated away,
// those that nobody can answer get no reply, and header, eoh and body are
// replied to only when a script has options.early, since their handlers run at
// the end of the message otherwise. What was not offered is taken out by the
// engine (milter §1.3).
func (n needs) ask(offer milter.Options) milter.Options {
	answer := milter.Options{Version: offer.Version}
	if !n.any {
		answer.Protocol = wire.OptNoConnect | wire.OptNoHelo | wire.OptNoMailFrom | wire.OptNoRcptTo | wire.OptNoData |
			wire.OptNoHeaders | wire.OptNoEOH | wire.OptNoBody | wire.OptNoUnknown
		return answer
	}
	answer.Actions = offer.Actions &^ wire.OptSetSymList
	set := func(when bool, bit wire.OptProtocol) {
		if when {
			answer.Protocol |= bit
		}
	}
	// Client, HELO and envelope are always heard: session and log need them.
	set(!n.phases.Has(Connect), wire.OptNoConnReply)
	set(!n.phases.Has(Helo), wire.OptNoHeloReply)
	set(!n.phases.Has(Mail), wire.OptNoMailReply)
	set(!n.phases.Has(Rcpt), wire.OptNoRcptReply)
	set(!n.phases.Has(Data), wire.OptNoData)
	set(!n.phases.Has(Unknown), wire.OptNoUnknown)
	set(!n.headers, wire.OptNoHeaders)
	set(n.headers && !n.earlyHeader, wire.OptNoHeaderReply)
	set(n.headers, wire.OptHeaderLeadingSpace)
	set(!n.earlyEOH, wire.OptNoEOH)
	set(!n.body, wire.OptNoBody)
	set(n.body && !n.earlyBody, wire.OptNoBodyReply)
	set(n.body && n.earlyBody, wire.OptSkip)
	return answer
}

// fits tells whether a set with these needs can serve a connection that was
// negotiated for others: it must hear all it wants, and be able to answer
// where it wants to (after QUIT_NC the options stay as they are).
func (n needs) fits(agreed milter.Options, was needs) bool {
	if !n.any {
		return true
	}
	want := n.ask(milter.Options{Version: agreed.Version, Actions: ^wire.OptAction(0), Protocol: ^wire.OptProtocol(0)})
	if want.Protocol&wire.OptNoHeaders != 0 {
		want.Protocol |= wire.OptNoHeaderReply
	}
	if want.Protocol&wire.OptNoBody != 0 {
		want.Protocol |= wire.OptNoBodyReply
	}
	silent := wire.OptNoConnect | wire.OptNoHelo | wire.OptNoMailFrom | wire.OptNoRcptTo | wire.OptNoData |
		wire.OptNoHeaders | wire.OptNoEOH | wire.OptNoBody | wire.OptNoUnknown |
		wire.OptNoConnReply | wire.OptNoHeloReply | wire.OptNoMailReply | wire.OptNoRcptReply | wire.OptNoDataReply |
		wire.OptNoUnknownReply | wire.OptNoHeaderReply | wire.OptNoEOHReply | wire.OptNoBodyReply
	if agreed.Protocol&silent&^want.Protocol != 0 {
		return false
	}
	return was.any // without scripts no action was asked for
}

// Describe names what an MTA of protocol 6 would be asked for, for `pmilterd check`.
func Describe(scripts []Script) (phases, silent []string) {
	n := needsOf(scripts)
	if !n.any {
		return nil, nil
	}
	answer := n.ask(milter.Options{Version: 6, Actions: ^wire.OptAction(0), Protocol: ^wire.OptProtocol(0)})
	add := func(phase Phase, no, quiet wire.OptProtocol) {
		switch {
		case answer.Protocol&no != 0:
		case answer.Protocol&quiet != 0:
			silent = append(silent, phase.String())
		default:
			phases = append(phases, phase.String())
		}
	}
	add(Connect, wire.OptNoConnect, wire.OptNoConnReply)
	add(Helo, wire.OptNoHelo, wire.OptNoHeloReply)
	add(Mail, wire.OptNoMailFrom, wire.OptNoMailReply)
	add(Rcpt, wire.OptNoRcptTo, wire.OptNoRcptReply)
	add(Data, wire.OptNoData, wire.OptNoDataReply)
	add(Header, wire.OptNoHeaders, wire.OptNoHeaderReply)
	add(EOH, wire.OptNoEOH, wire.OptNoEOHReply)
	add(Body, wire.OptNoBody, wire.OptNoBodyReply)
	add(Unknown, wire.OptNoUnknown, wire.OptNoUnknownReply)
	return phases, append([]string{}, silent...)
}
