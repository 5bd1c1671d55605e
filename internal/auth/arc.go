package auth

import (
	"context"
	"crypto/sha256"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ARC is the state of a chain (RFC 8617 §4.4) and its sets, the oldest first.
type ARC struct {
	Result string // none pass fail, or temperror when a key could not be looked up
	Error  string // why it is not pass
	Chain  []Set
}

// Set is what one server says that handled the message. It is worth as much as
// that server is trusted, and nothing if the chain did not pass.
type Set struct {
	Instance int
	Domain   string // who sealed it
	Selector string
	Results  string // its Authentication-Results, unfolded, without i=
}

// set is the three fields of an instance.
type set struct {
	results Field // ARC-Authentication-Results
	said    string
	message Field // ARC-Message-Signature
	seal    *seal
	count   [3]int
}

// seal is an ARC-Seal (RFC 8617 §4.1.3).
type seal struct {
	signature
	cv string
}

// chain is the sets of a message by instance.
type chain struct {
	sets   []*set
	newest *signature // the ARC-Message-Signature of the last one
	wrong  string
}

// readChain collects the sets and checks that they are whole (RFC 8617 §5.2,
// steps 1 to 3).
func readChain(m *Message, now time.Time) chain {
	var c chain
	kinds := [3]string{"arc-authentication-results", "arc-message-signature", "arc-seal"}
	for kind, name := range kinds {
		places := m.places[name]
		if len(places) > maxSets {
			return chain{sets: make([]*set, 1), wrong: "there are too many sets"}
		}
		for _, i := range places {
			if c.wrong == "" {
				c.wrong = c.add(kind, m.fields[i])
			}
		}
	}
	if len(c.sets) == 0 {
		return c
	}
	for i, one := range c.sets {
		if c.wrong == "" {
			c.wrong = one.check(i, len(c.sets))
		}
	}
	if c.wrong == "" {
		c.newest = readSignature(c.sets[len(c.sets)-1].message, now)
		if slices.ContainsFunc(c.newest.names, func(n string) bool { return lower(n) == "arc-seal" }) { // RFC 8617 §4.1.2
			c.newest.wrong = &fault{PermError, "it is of a seal"}
		}
	}
	return c
}

// add puts a field into its set.
func (c *chain) add(kind int, f Field) (wrong string) {
	if len(c.sets) == 0 {
		c.sets = []*set{{}} // there is a chain, whatever it is worth
	}
	instance, rest, ok := instanceOf(f.Value)
	if kind != 0 { // i= may be anywhere (RFC 8617 §4.1.2, §4.1.3)
		t, err := parseTags(f.Value)
		if err != nil {
			return err.Error()
		}
		instance, ok = number(t["i"])
	}
	if !ok {
		return "a field has no instance"
	}
	for len(c.sets) < instance {
		c.sets = append(c.sets, &set{})
	}
	one := c.sets[instance-1]
	one.count[kind]++
	switch kind {
	case 0:
		one.results, one.said = f, rest
	case 1:
		one.message = f
	default:
		return one.readSeal(f)
	}
	return ""
}

// instanceOf cuts i= off an ARC-Authentication-Results, which begins with it
// (RFC 8617 §4.1.1).
func instanceOf(value string) (n int, rest string, ok bool) {
	first, rest, _ := strings.Cut(value, ";")
	name, digits, _ := strings.Cut(first, "=")
	if trimFWS(name) != "i" {
		return 0, "", false
	}
	n, ok = number(trimFWS(digits))
	return n, strings.Join(strings.FieldsFunc(rest, isFWS), " "), ok
}

// number is an instance: 1 to 50 (RFC 8617 §4.2.1).
func number(digits string) (int, bool) {
	n, err := strconv.ParseUint(digits, 10, 8)
	return int(n), err == nil && n >= 1 && n <= maxSets
}

func (one *set) readSeal(f Field) (wrong string) {
	t, err := parseTags(f.Value)
	if err != nil {
		return err.Error()
	}
	s := &seal{cv: lower(t["cv"])}
	s.field, s.tags, s.header = f, t, relaxed
	domain, ok := asciiDomain(dropFWS(t["d"]))
	s.domain, s.selector, s.algorithm = domain, dropFWS(t["s"]), lower(dropFWS(t["a"]))
	s.value, err = t.base64("b")
	one.seal = s
	switch {
	case !ok || err != nil || len(s.value) == 0 || s.selector == "":
		return "a seal lacks what it needs"
	case t.has("h") || t.has("bh"): // RFC 8617 §4.1.3
		return "a seal has the tags of a signature"
	}
	if bad := s.checkAlgorithm(); bad != nil {
		return bad.text
	}
	return ""
}

// check is RFC 8617 §5.2, step 3, for the set at i.
func (one *set) check(i, of int) (wrong string) {
	if one.count != [3]int{1, 1, 1} {
		return "set " + strconv.Itoa(i+1) + " is not whole"
	}
	switch {
	case i == of-1 && one.seal.cv == Fail:
		return "the chain had failed before"
	case i == 0 && one.seal.cv != None || i > 0 && one.seal.cv != Pass:
		return "the seal of set " + strconv.Itoa(i+1) + " has a wrong cv"
	}
	return ""
}

// ARC verifies a chain: the newest signature of the message and all seals. The
// error is the context's alone.
func (s *Service) ARC(ctx context.Context, m *Message) (ARC, error) {
	c := &m.chain
	if len(c.sets) == 0 {
		return ARC{Result: None}, nil
	}
	r := ARC{Result: Pass, Chain: c.tell()}
	if wrong := s.verifyChain(ctx, m); wrong != nil {
		r.Result, r.Error = Fail, wrong.text
		if wrong.result == TempError {
			r.Result = TempError
		}
	}
	return r, ctx.Err()
}

// tell is the sets as far as they are there.
func (c *chain) tell() []Set {
	var list []Set
	for i, one := range c.sets {
		if one == nil || one.count == [3]int{} {
			continue
		}
		told := Set{Instance: i + 1, Results: one.said}
		if one.seal != nil {
			told.Domain, told.Selector = one.seal.domain, one.seal.selector
		}
		list = append(list, told)
	}
	return list
}

func (s *Service) verifyChain(ctx context.Context, m *Message) *fault {
	c := &m.chain
	if c.wrong != "" {
		return &fault{Fail, c.wrong}
	}
	if c.newest.wrong != nil {
		return &fault{Fail, "the newest signature: " + c.newest.wrong.text}
	}
	// All keys at once, a few at a time; then the checks in the order of RFC 8617 §5.2.
	seals := make([]*fault, len(c.sets))
	turn := make(chan struct{}, maxSignatures)
	var all sync.WaitGroup
	for i := range c.sets {
		all.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			seals[i] = s.verifySeal(ctx, c, i)
		})
	}
	k, wrong := s.lookUpKey(ctx, c.newest.selector, c.newest.domain)
	if wrong == nil {
		wrong = c.newest.check(m, k)
	}
	all.Wait()
	if wrong != nil {
		return &fault{wrong.result, "the newest signature: " + wrong.text}
	}
	for i := len(seals) - 1; i >= 0; i-- {
		if seals[i] != nil {
			return &fault{seals[i].result, "the seal of set " + strconv.Itoa(i+1) + ": " + seals[i].text}
		}
	}
	return nil
}

// verifySeal checks one seal, which is of all sets up to its own (RFC 8617 §5.1.1).
func (s *Service) verifySeal(ctx context.Context, c *chain, i int) *fault {
	own := c.sets[i].seal
	k, wrong := s.lookUpKey(ctx, own.selector, own.domain)
	if wrong != nil {
		return wrong
	}
	if algorithm, _, _ := strings.Cut(own.algorithm, "-"); algorithm != k.algorithm {
		return &fault{PermError, "the key is for another algorithm"}
	}
	h := sha256.New()
	for _, one := range c.sets[:i+1] {
		h.Write([]byte(relaxed.field(one.results)))
		h.Write([]byte(relaxed.field(one.message)))
		if one.seal != own {
			h.Write([]byte(relaxed.field(one.seal.field)))
		}
	}
	h.Write([]byte(own.last()))
	if !k.verifies(h.Sum(nil), own.value) {
		return &fault{Fail, "it was changed"}
	}
	return nil
}
