// Package serving keeps a pool of processes that serve the same listening sockets with
// the same set of things to serve with, whatever that is, and has them go over to
// another set together.
//
// A Switch has two halves. First every process makes the new set ready and says so: a
// set that one of them cannot use is used by none. Then every process stops to begin
// anything new for a moment; when all have, they go over. So nothing begins with the old
// set, in any process, after something has begun with the new one in any. A process that
// starts meanwhile begins nothing before it has the set that is in use.
//
// A process that is in trouble asks to leave: another takes its place at once while it
// serves what it has to the end. What the processes report of themselves is kept, and
// the last report of one that is gone handed on, so that nothing counted is lost but
// what a process that was killed had counted in its last second.
//
// It is built on prefork, whose promises hold: no process outlives the one with the pool.
// It knows nothing of mail, sockets or scripts.
package serving
