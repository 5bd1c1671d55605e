package testbed

import (
	"fmt"

	answers "pmilter/script/canned"
)

// cannedDNS is dns.answer(name, type, values): see answers.DNS.AnswerValues. What
// a test has not said is not there.
type cannedDNS struct{ *answers.DNS }

var _ canned = cannedDNS{}

func (c cannedDNS) answer(function string, args []any) error {
	name, kind, err := "", "", needArguments(function, args, 3, "a name, a type and values")
	if err == nil {
		name, err = textArgument(args[0], "the name")
	}
	if err == nil {
		kind, err = textArgument(args[1], "the type")
	}
	if err != nil {
		return err
	}
	return c.AnswerValues(name, kind, args[2])
}

// cannedHTTP is http.answer(url, response).
type cannedHTTP struct{ *answers.HTTP }

var _ canned = cannedHTTP{}

func (c cannedHTTP) answer(function string, args []any) error {
	url, err := "", needArguments(function, args, 2, "a URL and a response")
	if err == nil {
		url, err = textArgument(args[0], "the URL")
	}
	if err != nil {
		return err
	}
	return c.AnswerValue(url, args[1])
}

// cannedNet is net.answer(address, bytes).
type cannedNet struct{ *answers.Net }

var _ canned = cannedNet{}

func (c cannedNet) answer(function string, args []any) error {
	address, err := "", needArguments(function, args, 2, "an address and bytes")
	if err == nil {
		address, err = textArgument(args[0], "the address")
	}
	if err != nil {
		return err
	}
	return c.AnswerValue(address, args[1])
}

func needArguments(function string, args []any, n int, what string) error {
	if function != "answer" {
		return noFunction(function)
	}
	if len(args) != n {
		return fmt.Errorf("it takes %s", what)
	}
	return nil
}

func textArgument(v any, what string) (string, error) {
	s, ok := v.(string)
	if !ok || s == "" {
		return "", fmt.Errorf("%s is no string", what)
	}
	return s, nil
}
