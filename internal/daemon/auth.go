package daemon

import (
	"context"

	"pmilter/filter"
	"pmilter/internal/auth"
	"pmilter/internal/config"
	"pmilter/script"
)

// authService is internal/auth as scripts see it.
type authService struct{ s *auth.Service }

var _ script.Auth = authService{}

// ResolveBy has pmilter/auth ask that DNS; key files are relative to the
// configuration's folder. Before ForScripts.
func (s *Services) ResolveBy(cfg *config.Config, resolver auth.Resolver) {
	s.auth = auth.New(auth.Options{Resolver: meteredResolver{resolver, s}, Base: base(cfg)})
}

// ReadMessage implements script.Auth, as do the others below.
func (a authService) ReadMessage(fields []filter.Field, body []byte) script.AuthMessage {
	list := make([]auth.Field, len(fields))
	for i, f := range fields {
		list[i] = auth.Field(f)
	}
	return a.s.Read(list, body)
}

// SPF checks the client.
func (a authService) SPF(ctx context.Context, c script.AuthClient) (script.SPFResult, error) {
	r, err := a.s.SPF(ctx, auth.Client(c))
	return script.SPFResult(r), err
}

// DKIM verifies the signatures.
func (a authService) DKIM(ctx context.Context, m script.AuthMessage) ([]script.DKIMResult, error) {
	found, err := a.s.DKIM(ctx, m.(*auth.Message))
	list := make([]script.DKIMResult, len(found))
	for i, d := range found {
		list[i] = script.DKIMResult(d)
	}
	return list, err
}

// DMARC judges by both.
func (a authService) DMARC(ctx context.Context, m script.AuthMessage, spf script.SPFResult, dkim []script.DKIMResult) (script.DMARCResult, error) {
	r, err := a.s.DMARC(ctx, m.(*auth.Message), auth.SPF(spf), dkimOf(dkim))
	return script.DMARCResult(r), err
}

func dkimOf(list []script.DKIMResult) []auth.DKIM {
	if list == nil {
		return nil
	}
	found := make([]auth.DKIM, len(list))
	for i, d := range list {
		found[i] = auth.DKIM(d)
	}
	return found
}

// ARC verifies the chain.
func (a authService) ARC(ctx context.Context, m script.AuthMessage) (script.ARCResult, error) {
	r, err := a.s.ARC(ctx, m.(*auth.Message))
	told := script.ARCResult{Result: r.Result, Error: r.Error}
	for _, s := range r.Chain {
		told.Chain = append(told.Chain, script.ARCSet(s))
	}
	return told, err
}

// Signer makes what signs.
func (a authService) Signer(o script.SignOptions) (filter.SignFunc, error) {
	return a.s.Signer(auth.SignOptions(o))
}

// FormatResults writes an Authentication-Results.
func (a authService) FormatResults(id string, r script.AuthResults) (string, error) {
	told := auth.Results{DKIM: dkimOf(r.DKIM)}
	if r.SPF != nil {
		spf := auth.SPF(*r.SPF)
		told.SPF = &spf
	}
	if r.DMARC != nil {
		dmarc := auth.DMARC(*r.DMARC)
		told.DMARC = &dmarc
	}
	if r.ARC != nil {
		told.ARC = &auth.ARC{Result: r.ARC.Result, Error: r.ARC.Error}
	}
	return auth.Format(id, told)
}

// Claims tells who an Authentication-Results says it is by.
func (a authService) Claims(id, value string) bool { return auth.Claims(id, value) }
