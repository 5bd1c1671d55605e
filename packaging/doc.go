// Package packaging has no code: only tests of what is in this folder, the units, the
// Debian package and the archives.
package packaging
