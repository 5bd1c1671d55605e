//go:build !race

package script

// slowness is how much slower than usual this build may be.
const slowness = 1
