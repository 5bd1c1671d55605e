// Package auth tells who a mail is from, as far as DNS and signatures can: SPF
// (RFC 7208), DKIM (RFC 6376, 8301, 8463), DMARC (RFC 7489) and ARC (RFC 8617). It
// signs with DKIM, and writes and strips Authentication-Results (RFC 8601).
//
// Everything it reads is hostile. It promises a result for whatever arrives, in
// time and memory that grow with the message alone: the signatures that are looked
// at, the look-ups and the keys are bounded, every look-up has a deadline, and the
// body is read while a [Message] is made and never afterwards. A trouble of DNS is
// a temperror and never a pass, nor is anything that is not understood.
//
// SPF is blitiri.com.ar/go/spf; signatures are made by go-msgauth. They are
// verified here, because seals of ARC need every piece of it and because of what
// docs/adr/0006-own-signature-verifier.md tells.
package auth
