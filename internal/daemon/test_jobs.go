package daemon

import (
	"pmilter/internal/config"
	"pmilter/internal/testbed"
)

// testJobs are the queues with a job, for tests of scripts.
func testJobs(cfg *config.Config) []testbed.Job {
	var list []testbed.Job
	for _, q := range cfg.Queues {
		if q.Job != "" {
			list = append(list, testbed.Job{Queue: q.Name, Script: q.Job, Maildir: q.Maildir, Timeout: q.Timeout})
		}
	}
	return list
}
