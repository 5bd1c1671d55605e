// Package house has no code: its tests hold the rules of how this repository is
// built, for all packages at once. Who may import whom is in imports_test.go;
// globals, init functions and what files must not contain in habits_test.go.
// The linters say some of it again (.golangci.yml), so that an editor shows it,
// but these tests need nothing but Go.
package house
