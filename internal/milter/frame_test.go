package milter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

type frame struct {
	code    byte
	payload string
}

func readAll(r *FrameReader) (frames []frame, err error) {
	for {
		code, payload, err := r.Next()
		if err != nil {
			return frames, err
		}
		frames = append(frames, frame{code, string(payload)})
	}
}

func TestFrameReaderRoundTrip(t *testing.T) {
	var stream []byte
	var want []frame
	for i := range 400 {
		payload := bytes.Repeat([]byte{byte(i)}, i*i%70000)
		stream = AppendFrame(stream, byte('A'+i%26), payload[:len(payload)/3], payload[len(payload)/3:])
		want = append(want, frame{byte('A' + i%26), string(payload)})
	}
	for name, r := range map[string]io.Reader{
		"whole":    bytes.NewReader(stream),
		"half":     iotest.HalfReader(bytes.NewReader(stream)),
		"data err": iotest.DataErrReader(bytes.NewReader(stream)),
		"one byte": iotest.OneByteReader(bytes.NewReader(stream)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readAll(NewFrameReader(r, 0))
			if !errors.Is(err, io.EOF) {
				t.Fatalf("end: %v", err)
			}
			if len(got) != len(want) {
				t.Fatalf("%d frames, want %d", len(got), len(want))
			}
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("frame %d differs", i)
				}
			}
		})
	}
}

func TestTrap03BadFrames(t *testing.T) {
	for _, tc := range []struct {
		name, stream string
		want         error
	}{
		{"nothing", "", io.EOF},
		{"length 0", "\x00\x00\x00\x00", ErrFrameEmpty},
		{"over the limit", "\x00\x10\x00\x02B", ErrFrameTooLong},
		{"far over the limit", "\xff\xff\xff\xffB", ErrFrameTooLong},
		{"cut in the length", "\x00\x00\x00", io.ErrUnexpectedEOF},
		{"cut after the length", "\x00\x00\x00\x05", io.ErrUnexpectedEOF},
		{"cut in the payload", "\x00\x00\x00\x05Babc", io.ErrUnexpectedEOF},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, _, err := NewFrameReader(bytes.NewReader([]byte(tc.stream)), 0).Next(); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestTrap03MemoryFollowsBytes(t *testing.T) {
	// 1 MiB is claimed, 5000 bytes come.
	stream := append([]byte("\x00\x10\x00\x00B"), make([]byte, 5000)...)
	r := NewFrameReader(bytes.NewReader(stream), 0)
	if _, _, err := r.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if got := len(r.block.b); got > 4*5000 {
		t.Errorf("buffer of %d bytes for 5000", got)
	}
}

func TestFrameReaderShrinks(t *testing.T) {
	var pool blockPool
	stream := AppendFrame(nil, 'B', make([]byte, 65535))
	stream = AppendFrame(stream, 'A', []byte("rest"))
	r := newFrameReader(readerSource{bytes.NewReader(stream)}, 0, &pool)
	if _, p, err := r.Next(); err != nil || len(p) != 65535 {
		t.Fatal(len(p), err)
	}
	r.shrink(smallBlock)
	if len(r.block.b) != smallBlock {
		t.Errorf("block of %d bytes", len(r.block.b))
	}
	if code, p, err := r.Next(); err != nil || code != 'A' || string(p) != "rest" {
		t.Error(code, p, err)
	}
}

func TestFrameReaderHeir(t *testing.T) {
	stream := AppendFrame(nil, 'L', []byte("first"))
	stream = AppendFrame(stream, 'N', []byte("second"))
	r := NewFrameReader(bytes.NewReader(stream), 0)
	_, first, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	h := r.heir()
	clear(h.block.b[h.end:])
	if code, p, err := h.Next(); err != nil || code != 'N' || string(p) != "second" {
		t.Error(code, p, err)
	}
	if string(first) != "first" {
		t.Errorf("the old payload changed to %q", first)
	}
}

func FuzzFrameReader(f *testing.F) {
	f.Add(AppendFrame(AppendFrame(nil, 'O', make([]byte, 12)), 'B', make([]byte, 9000)), uint16(100))
	f.Add([]byte("\x00\x00\x00\x00"), uint16(1))
	f.Add([]byte("\x00\x00\x00\x02"), uint16(1))
	f.Fuzz(func(t *testing.T, stream []byte, limit uint16) {
		whole, err1 := readAll(NewFrameReader(bytes.NewReader(stream), int(limit)+1))
		bytewise, err2 := readAll(NewFrameReader(iotest.OneByteReader(bytes.NewReader(stream)), int(limit)+1))
		if len(whole) != len(bytewise) || err1.Error() != err2.Error() {
			t.Fatalf("the pieces matter: %d %v, %d %v", len(whole), err1, len(bytewise), err2)
		}
		var again []byte
		for i, f := range whole {
			if bytewise[i] != f {
				t.Fatalf("frame %d differs", i)
			}
			again = AppendFrame(again, f.code, []byte(f.payload))
		}
		if !bytes.HasPrefix(stream, again) {
			t.Fatal("no round trip")
		}
		if rest := stream[len(again):]; len(rest) >= 4 && errors.Is(err1, io.ErrUnexpectedEOF) {
			if n := binary.BigEndian.Uint32(rest); n == 0 || uint64(n) > uint64(limit)+1 || int(n) <= len(rest)-4 {
				t.Fatalf("a whole or bad frame taken for a cut one: %d of %d", n, len(rest))
			}
		}
	})
}

func TestAppendString(t *testing.T) {
	if got := string(AppendString([]byte("x"), "a\x00b\xff")); got != "xab\xff\x00" {
		t.Errorf("%q", got)
	}
}
