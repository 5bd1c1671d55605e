package decisions

// What tests know of the inside.
const (
	MaxLine     = maxLine
	MaxPending  = maxPending
	CurrentName = currentName
)

// Needle is what the prefilter looks for.
func (m *Match) Needle() string { return m.needle() }
