package milter

import (
	wire "github.com/emersion/go-milter"
)

// What go-milter's vocabulary lacks. The types are go-milter's.
const (
	CodeUnknown wire.Code = 'U' // SMFIC_UNKNOWN

	ActProgress       wire.ActionCode = 'p' // SMFIR_PROGRESS
	ActConnectionFail wire.ActionCode = 'f' // SMFIR_CONN_FAIL: never sent, an MTA may read it from others
	ActShutdown       wire.ActionCode = '4' // SMFIR_SHUTDOWN: never sent, the same

	ActAddRcptWithArgs wire.ModifyActCode = '2' // SMFIR_ADDRCPT_PAR
	ActSetSymList      wire.ModifyActCode = 'l' // SMFIR_SETSYMLIST
)

// Versions of the protocol that are spoken here.
const (
	MinVersion = 2 // SMFI_VERSION of Sendmail 8.10
	MaxVersion = 6 // SMFI_PROT_VERSION of libmilter 8.14 and later
)

// Everything that version 6 knows. Bits above are libmilter's own
// (SMFIP_MDS_256K and its kin change the size of packets) and not for sessions.
const (
	AllActions  wire.OptAction   = 0x1ff    // SMFI_CURR_ACTS
	AllProtocol wire.OptProtocol = 0x1fffff // SMFI_CURR_PROT
)

// MaxFrame is the limit of the length field of a packet: command byte and
// payload. An MTA's largest is a body chunk of 65535 bytes or a long header;
// libmilter's own largest, with SMFIP_MDS_1M, is 1 MiB.
const MaxFrame = 1<<20 + 1

// maxModification is MILTER_MAX_DATA_SIZE: Sendmail takes no larger payload
// from a milter.
const maxModification = 65535
