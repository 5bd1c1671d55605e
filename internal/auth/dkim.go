package auth

import (
	"context"
	"sync"
)

// DKIM is what became of one signature.
type DKIM struct {
	Result    string // pass fail policy neutral temperror permerror
	Domain    string // d=
	Selector  string // s=
	Identity  string // i=
	Algorithm string // a=
	Signature string // how b= begins, which tells signatures apart (RFC 6008)
	Error     string // why it did not pass
}

// DKIM verifies the signatures, from the top of the header down. Their keys are
// fetched side by side. The error is the context's alone.
func (s *Service) DKIM(ctx context.Context, m *Message) ([]DKIM, error) {
	results := make([]DKIM, len(m.signatures), len(m.signatures)+1)
	var all sync.WaitGroup
	for i, sig := range m.signatures {
		all.Go(func() { results[i] = s.verify(ctx, m, sig) })
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m.more > 0 {
		results = append(results, DKIM{Result: Policy, Error: "too many signatures: the others were not looked at"})
	}
	return results, nil
}

func (s *Service) verify(ctx context.Context, m *Message, sig *signature) DKIM {
	r := DKIM{Domain: sig.domain, Selector: sig.selector, Identity: sig.identity, Algorithm: sig.algorithm}
	r.Signature = dropFWS(sig.tags["b"])
	r.Signature = r.Signature[:min(len(r.Signature), 8)]
	wrong := sig.wrong
	if wrong == nil {
		var k *publicKey
		if k, wrong = s.lookUpKey(ctx, sig.selector, sig.domain); wrong == nil {
			wrong = sig.check(m, k)
		}
	}
	r.Result = Pass
	if wrong != nil {
		r.Result, r.Error = wrong.result, wrong.text
	}
	return r
}
