package script

// usage is which names occur in a bundle, so that a world need not install what
// its scripts cannot reach.
type usage struct {
	names   map[string]bool
	dynamic bool // names may be made at run time: anything can be reached
}

// mentions tells whether the scripts may reach something by that name.
func (u usage) mentions(name string) bool { return u.dynamic || u.names[name] }
