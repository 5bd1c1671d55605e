package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// call is one command on its way. Nobody but the pipeline touches it until done.
type call struct {
	ctx  context.Context //nolint:containedctx // the caller's, who may give up while it waits
	cmd  redis.Cmder
	size int // bytes of its value
	done chan struct{}
}

// maxPipeline is how many bytes of values one batch carries, about.
const maxPipeline = 1 << 20

// do sends one command, with others that come at the same time, and waits for its
// answer, a second at most.
func (r *Redis) do(ctx context.Context, size int, cmd redis.Cmder) error {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	c := &call{ctx: ctx, cmd: cmd, size: size, done: make(chan struct{})}
	select {
	case r.calls <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-r.stop:
		return errClosed
	}
	select {
	case <-c.done:
		return failure(cmd.Err())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failure is an error of the client's or the server's as ours.
func failure(err error) error {
	switch {
	case err == nil, errors.Is(err, redis.Nil), redis.HasErrorPrefix(err, "NOSCRIPT"):
		return err
	case strings.HasPrefix(err.Error(), "PMILTER "+CodeOverflow):
		return &Error{code: CodeOverflow, message: "the sum is past " + strconv.Itoa(MaxNumber)}
	case strings.HasPrefix(err.Error(), "PMILTER "+CodeNotANumber), strings.Contains(err.Error(), "value is not an integer"):
		return &Error{code: CodeNotANumber, message: "the value is no whole number"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return err
	default:
		return unavailable(err)
	}
}

// pipeline sends what has come while its last batch was under way with the next.
func (r *Redis) pipeline() {
	for {
		select {
		case <-r.stop:
			return
		case c := <-r.calls:
			r.exec(r.gather(c))
		}
	}
}

// gather is the calls that wait, first included.
func (r *Redis) gather(first *call) []*call {
	batch, size := []*call{first}, first.size
	for len(batch) < maxBatch && size < maxPipeline {
		select {
		case c := <-r.calls:
			batch, size = append(batch, c), size+c.size
		default:
			return batch
		}
	}
	return batch
}

// exec sends a batch and takes its answers, within a second.
func (r *Redis) exec(batch []*call) {
	ctx, cancel := context.WithTimeout(context.Background(), redisTimeout)
	defer cancel()
	pipe := r.client.Pipeline()
	for _, c := range batch {
		if err := c.ctx.Err(); err != nil {
			c.cmd.SetErr(err) // nobody waits
		} else {
			_ = pipe.Process(ctx, c.cmd)
		}
	}
	if pipe.Len() > 0 {
		_, err := pipe.Exec(ctx)
		r.notice(err)
	}
	for _, c := range batch {
		close(c.done)
	}
}

var errSilent = fmt.Errorf("it does not answer within %s", redisTimeout)

// notice logs that the server has gone, or is back. err is the first one of a batch.
func (r *Redis) notice(err error) {
	var known *Error
	err = failure(err)
	gone := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &known) && known.code == CodeUnavailable
	if was := r.gone.Swap(gone); was == gone {
		return
	}
	if gone {
		if known == nil {
			err = errSilent
		}
		r.log.Warn("store: the server is not there: what scripts ask of it fails", zap.Error(err))
	} else {
		r.log.Info("store: the server is there again")
	}
}
