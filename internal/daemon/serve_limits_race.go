//go:build race

package daemon

// raceDetector: it keeps several times of what the program has, and ends it when it cannot.
const raceDetector = true
