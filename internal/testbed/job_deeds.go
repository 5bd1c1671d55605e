package testbed

import (
	"context"
	"sync"

	"pmilter/script"
)

// deeds notes what one job asks of the services, on the way to these.
type deeds struct {
	mu   sync.Mutex
	seen script.TestJobResult
}

// note adds to what was seen.
func (d *deeds) note(add func(r *script.TestJobResult)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	add(&d.seen)
}

// result is all that was seen, with how the job ended.
func (d *deeds) result(r *script.JobResult) script.TestJobResult {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.seen
	all.JobResult = r
	return all
}

// follow is the services, followed.
func (d *deeds) follow(s script.Services) script.Services {
	s.HTTP = followedHTTP{s.HTTP, d}
	s.Net = followedNet{s.Net, d}
	s.Exec = followedExec{s.Exec, d}
	s.SMTP = followedSMTP{s.SMTP, d}
	s.Maildirs = followedMaildirs{s.Maildirs, d}
	return s
}

type followedHTTP struct {
	script.HTTP
	d *deeds
}

// Fetch implements script.HTTP.
func (f followedHTTP) Fetch(ctx context.Context, q script.HTTPRequest) (*script.HTTPResponse, error) {
	f.d.note(func(r *script.TestJobResult) { r.Fetched = append(r.Fetched, q) })
	return f.HTTP.Fetch(ctx, q)
}

type followedNet struct {
	script.Net
	d *deeds
}

// Exchange implements script.Net.
func (f followedNet) Exchange(ctx context.Context, x script.NetExchange) ([]byte, error) {
	f.d.note(func(r *script.TestJobResult) { r.Exchanged = append(r.Exchanged, x) })
	return f.Net.Exchange(ctx, x)
}

type followedExec struct {
	script.Exec
	d *deeds
}

// Run implements script.Exec.
func (f followedExec) Run(ctx context.Context, p script.ExecProgram) (script.ExecResult, error) {
	f.d.note(func(r *script.TestJobResult) { r.Ran = append(r.Ran, p) })
	return f.Exec.Run(ctx, p)
}

type followedSMTP struct {
	script.SMTP
	d *deeds
}

// Send implements script.SMTP.
func (f followedSMTP) Send(ctx context.Context, m script.SMTPMessage) (script.SMTPResult, error) {
	f.d.note(func(r *script.TestJobResult) { r.Sent = append(r.Sent, m) })
	return f.SMTP.Send(ctx, m)
}

type followedMaildirs struct {
	script.Maildirs
	d *deeds
}

// Deliver implements script.Maildirs.
func (f followedMaildirs) Deliver(ctx context.Context, path, id string, message []byte) (file string, isNew bool, err error) {
	file, isNew, err = f.Maildirs.Deliver(ctx, path, id, message)
	if err == nil {
		f.d.note(func(r *script.TestJobResult) {
			r.Delivered = append(r.Delivered, script.TestDelivery{Folder: path, ID: id, File: file, Message: message, New: isNew})
		})
	}
	return file, isNew, err
}
