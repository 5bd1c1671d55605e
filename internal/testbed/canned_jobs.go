package testbed

import answers "pmilter/script/canned"

// cannedExec is exec.answer(program, result).
type cannedExec struct{ *answers.Exec }

var _ canned = cannedExec{}

func (c cannedExec) answer(function string, args []any) error {
	program, err := "", needArguments(function, args, 2, "a program and its result")
	if err == nil {
		program, err = textArgument(args[0], "the program")
	}
	if err != nil {
		return err
	}
	return c.AnswerValue(program, args[1])
}

// cannedSMTP is smtp.answer(server, reply).
type cannedSMTP struct{ *answers.SMTP }

var _ canned = cannedSMTP{}

func (c cannedSMTP) answer(function string, args []any) error {
	server, err := "", needArguments(function, args, 2, "a server and its reply")
	if err == nil {
		server, err = textArgument(args[0], "the server")
	}
	if err != nil {
		return err
	}
	return c.AnswerValue(server, args[1])
}
