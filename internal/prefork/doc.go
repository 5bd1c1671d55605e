// Package prefork keeps a pool of worker processes, started ahead of need from the
// program's own binary, and hands them jobs, whatever these are.
//
// A worker does one job at a time. Idle ones above Min end after IdleTimeout, with
// Min 0 the first job starts the first worker. A worker that has done its share of
// jobs or holds too much memory is replaced after its job, one that dies is replaced
// at once, and one that dies again and again before it is of use ever later.
// Replace exchanges all, one by one.
//
// It promises that a job's timeout ends in the death of the worker's whole process
// group, programs that the job ran included; that a worker's group is dead before
// anybody hears that the worker is gone; and that neither a worker nor its group outlives
// the process that holds the pool, however that one dies: a worker kills its group,
// itself included, when its socket to the pool ends. Who kills the workers as well
// (killall -9) leaves what their programs have started.
//
// It knows nothing of what jobs are about, and never does one in the pool's own process.
//
// The shape is that of Perl's Parallel::Prefork and Server::Starter: hooks around the
// life of workers, signals mapped and staggered, a scoreboard. It is for Linux.
package prefork
