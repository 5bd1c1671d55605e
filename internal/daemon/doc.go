// Package daemon is the one place that wires the parts together: it makes of a
// configuration a filter with its scripts and a milter server, starts them,
// reloads them and drains them. It knows the rules of none of them.
package daemon
