package auth

import (
	"strings"
	"testing"
)

func BenchmarkBody(b *testing.B) {
	for name, body := range map[string]string{
		"text":   strings.Repeat("The quick brown fox jumps over the lazy dog, and so on and on.\r\n", 16<<10),
		"base64": strings.Repeat("VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZywgYW5kIHNvIG9uIGFu\r\n", 13<<10),
		"blank":  strings.Repeat("\r\n", 512<<10) + "x",
	} {
		for form, c := range map[string]canon{"simple": simple, "relaxed": relaxed} {
			b.Run(name+"/"+form, func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				data := []byte(body)
				for b.Loop() {
					c.body(data)
				}
			})
		}
	}
}
