package store

// holds is who holds what, in memory: those who ask are this process's, or at the
// other end of a socket of it, and so gone when it is. Not safe for concurrent use.
type holds struct {
	byKey    map[string]map[string]struct{}
	byHolder map[string]map[string]struct{}
	size     int64 // bytes, about
}

// holdOverhead is what one hold costs besides its words, about.
const holdOverhead = 256

func newHolds() holds {
	return holds{byKey: map[string]map[string]struct{}{}, byHolder: map[string]map[string]struct{}{}}
}

// hold is Store.Hold; room is how large holds may become.
func (h *holds) hold(key, holder string, most, room int64) (ok bool, count int64, err error) {
	holders := h.byKey[key]
	count = int64(len(holders))
	if _, has := holders[holder]; has {
		return true, count, nil
	}
	if most > 0 && count >= most {
		return false, count, nil
	}
	cost := int64(len(key)+len(holder)) + holdOverhead
	if h.size+cost > room {
		return false, count, &Error{code: CodeFull, message: "no room for more holders"}
	}
	h.size += cost
	insert(h.byKey, key, holder)
	insert(h.byHolder, holder, key)
	return true, count + 1, nil
}

// release ends all of a holder.
func (h *holds) release(holder string) {
	for key := range h.byHolder[holder] {
		h.size -= int64(len(key)+len(holder)) + holdOverhead
		delete(h.byKey[key], holder)
		if len(h.byKey[key]) == 0 {
			delete(h.byKey, key)
		}
	}
	delete(h.byHolder, holder)
}

func insert(to map[string]map[string]struct{}, a, b string) {
	if to[a] == nil {
		to[a] = map[string]struct{}{}
	}
	to[a][b] = struct{}{}
}
