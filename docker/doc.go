// Package docker is the test stack of compose.yaml and its test: real containers, real
// mail. It has no code of its own. `make stack-test` runs TestStack; without
// PMILTER_STACK=1 that is left out, since it needs a Docker engine and some minutes.
package docker
