package script

import "sync"

// holding is a world as a holder in the store. What it holds ends with the world,
// however far a hold that is under way has come then.
type holding struct {
	store  Store
	holder string // nobody else's

	mu    sync.Mutex
	calls int // of Hold, under way
	ended bool
}

// begin is before a call of Hold; false when it must not be made any more.
func (h *holding) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ended {
		h.calls++
	}
	return !h.ended
}

// done is after a call of Hold that began.
func (h *holding) done() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls--
	if h.ended && h.calls == 0 {
		h.store.Release(h.holder)
	}
}

// end releases what is held, at the end of the world. It does not block.
func (h *holding) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ended && h.calls == 0 {
		h.store.Release(h.holder)
	}
	h.ended = true
}
