package mta

// For the fuzzer.
var (
	ParseReply        = parseReply
	ParseModification = parseModification
)
