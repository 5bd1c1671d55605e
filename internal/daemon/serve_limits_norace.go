//go:build !race

package daemon

// raceDetector tells whether the binary has it.
const raceDetector = false
