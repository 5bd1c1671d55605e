package serving

import (
	"encoding/json"
	"testing"
)

// FuzzDecode: what is read is what was written, and nothing else is read.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"word":"prepare","number":3,"data":{"a":[1,2]}}`))
	f.Add([]byte(`{"word":"up"}`))
	f.Add([]byte(`{"word":"nonsense"}`))
	f.Add([]byte(`{"word":"hold","number":-1}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := decode(in)
		if err != nil {
			return
		}
		again, err := decode(m.encode())
		if err != nil || again.Word != m.Word || again.Number != m.Number || again.Fault != m.Fault {
			t.Errorf("%q: %+v, then %+v, %v", in, m, again, err)
		}
		if len(m.Data) > 0 && !json.Valid(m.Data) {
			t.Errorf("%q: data is no JSON", in)
		}
	})
}
