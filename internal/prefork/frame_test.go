package prefork_test

import (
	"bytes"
	"testing"

	"pmilter/internal/prefork"
)

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("j\x00\x00\x00\x03abcd\x00\x00\x00\x00"))
	f.Add([]byte("d\xff\xff\xff\xff"))
	f.Add([]byte("d\x00\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		var again bytes.Buffer
		for {
			at := len(in) - r.Len()
			kind, data, err := prefork.ReadFrame(r)
			if err != nil {
				if !bytes.Equal(again.Bytes(), in[:at]) {
					t.Errorf("%q was read of %q", again.Bytes(), in[:at])
				}
				return
			}
			if err := prefork.WriteFrame(&again, kind, data); err != nil {
				t.Fatal(err)
			}
		}
	})
}
