// Package decisions is the decision log: a line of JSON for each message, refused
// recipient, connection or command, which says why, in files of a private folder.
//
// Several processes write to one folder at once: each has a Writer, which appends
// whole lines by single writes to a file opened with O_APPEND, and checks before that
// the file is still the current one. A file that is large or old enough is renamed,
// under a lock; renamed ones are removed when they are too old or all together too
// large. Mail never waits for the log: what cannot be written is dropped and counted.
// A kill loses what a process had not written yet, a tenth of a second at most, and a
// torn line spoils no other. The folder must be on a local file system: NFS has no
// atomic append.
//
// Search reads the files while they are written, in bounded memory. Lines that are no
// records are passed over and counted.
package decisions
