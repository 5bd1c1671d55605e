package filter

import (
	wire "github.com/emersion/go-milter"

	"pmilter/internal/milter"
)

// What tests look at from inside.

func EncodeValue(name, text string, utf8ok bool) (string, error) {
	return encodeValue(name, text, utf8ok)
}

func CheckAddress(address, params string) error {
	_, err := checkAddress(address, params)
	return err
}

func SameAddress(a, b string) bool { return sameAddress(a, b) }

func ToCRLF(body []byte) []byte { return toCRLF(body) }

func ParseClient(host string, family wire.ProtoFamily, port uint16, addr string) Client {
	return parseClient(host, family, port, addr)
}

func Ask(scripts []Script, offer milter.Options) milter.Options { return needsOf(scripts).ask(offer) }

func SettledList(value string) string { return settledList(value) }
