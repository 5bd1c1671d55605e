// Package resolver looks names up in the DNS, for scripts and for whoever checks
// senders: what the system's recursive name servers say, kept as long as it holds.
//
// It promises that an answer belongs to its question (random id and port, and the
// question compared), that the same question is under way once however many ask it,
// that every look-up ends within its timeout, and that what it keeps is bounded. It
// is a stub: it follows the CNAME chains of an answer and asks on where one breaks
// off, and leaves recursion, and validation (DNSSEC), to the servers.
package resolver
