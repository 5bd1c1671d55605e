package auth

import (
	"math/rand/v2"
	"time"
)

// lookupTimeout is the default of Options.Timeout.
const lookupTimeout = 5 * time.Second

// Options are what a Service works with.
type Options struct {
	Resolver Resolver
	Timeout  time.Duration    // of one look-up; 5 s if 0
	Base     string           // what a key file's path is relative to
	Now      func() time.Time // time.Now if nil
	Random   func() float64   // from 0 to below 1, for DMARC's pct; math/rand's if nil
}

// Service does all of it with one resolver. Safe for concurrent use.
type Service struct {
	o    Options
	dns  Resolver
	keys privateKeys
}

// New makes a Service.
func New(o Options) *Service {
	if o.Timeout == 0 {
		o.Timeout = lookupTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	return &Service{o: o, dns: limited{o.Resolver, o.Timeout}, keys: privateKeys{base: o.Base}}
}
