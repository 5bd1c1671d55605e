package config

import (
	"fmt"
	"strings"
)

func checkAddress(s string) error {
	kind, rest, _ := strings.Cut(s, ":")
	switch kind {
	case "inet", "inet6", "unix", "local", "fd":
		if rest != "" {
			return nil
		}
	}
	return fmt.Errorf("%q is not an address", s)
}
