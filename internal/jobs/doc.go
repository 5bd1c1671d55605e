// Package jobs runs the jobs of queues: it watches a queue's Maildir, hands the events
// that are due to worker processes, and sees to what becomes of them.
//
// In the server a Queue dispatches. It bundles the job's script and never runs it: not
// even top-level code, which a worker that is started for it alone tries first. A worker
// process (Work) claims the event it is told of, counts the attempt, runs the script in a
// JavaScript world of its own, and settles: gone or in .done when the job returned, in
// .failed after job.fail or the last attempt, else waiting for its next time.
//
// An event whose worker died is settled by the server, once the worker's process group is
// dead, and, when that is gone too, by the worker that finds the last attempt begun.
package jobs
