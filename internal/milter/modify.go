package milter

// Modifications are the edits of a message, made at its end.
type Modifications struct{ buf []byte }
