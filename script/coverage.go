package script

import "sync"

// Coverage counts.
type Coverage struct{ mu sync.Mutex }
