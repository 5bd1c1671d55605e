package store

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/zap"
)

// Redis is a store in Redis or Valkey, shared by all who use the same database.
// Windows and leases go by the server's clock. An operation takes a second at most:
// while the server is gone each fails with an *Error of CodeUnavailable, or with
// context.DeadlineExceeded when the server is there and silent; once it is back
// they work again. None is tried twice: an Incr that failed may have counted.
//
// In the database are prefix+"v:"+key, the values; prefix+"l:"+key, the windows;
// and prefix+"h:"+key, the holders.
type Redis struct {
	client *redis.Client
	log    *zap.Logger
	calls  chan *call
	stop   chan struct{}
	done   sync.WaitGroup
	leases leases
	gone   atomic.Bool // as the log says
}

var _ Store = (*Redis)(nil)

const (
	// prefix is that of all our keys.
	prefix = "pmilter:"
	// redisTimeout is how long an operation may take.
	redisTimeout = time.Second
	// pipelines is how many batches are under way at once.
	pipelines = 4
)

//go:embed lua/limit.lua
var limitSource string

//go:embed lua/incr.lua
var incrSource string

// OpenRedis makes a store of the database that o names. It does not wait for the
// server, and needs none: log tells when it is gone and when it is back.
func OpenRedis(o *redis.Options, log *zap.Logger) *Redis {
	redis.SetLogger(&logging.VoidLogger{}) // the library's, the process's: it writes to standard error
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = redisTimeout, redisTimeout, redisTimeout, redisTimeout
	o.ContextTimeoutEnabled = true
	o.MaxRetries, o.DialerRetries = -1, 1
	o.PoolSize = pipelines + 2 // leases are renewed and released beside
	o.PipelinePoolSize = -1
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	r := &Redis{client: redis.NewClient(o), log: log, calls: make(chan *call), stop: make(chan struct{}), leases: newLeases()}
	for range pipelines {
		r.done.Go(r.pipeline)
	}
	r.done.Go(r.keepLeases)
	return r
}

// Close ends what is under way and gives back what is held, if the server is there.
func (r *Redis) Close() error {
	close(r.stop)
	r.done.Wait()
	if err := r.client.Close(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// Ping asks the server whether it is there.
func (r *Redis) Ping(ctx context.Context) error {
	return r.do(ctx, 0, redis.NewStatusCmd(ctx, "ping"))
}

// Get implements Store, as do the others below.
func (r *Redis) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	if err := checkKey(key); err != nil {
		return nil, false, err
	}
	cmd := redis.NewStringCmd(ctx, "get", at(values, key))
	if err := r.do(ctx, 0, cmd); errors.Is(err, redis.Nil) {
		return nil, false, nil
	} else if err != nil {
		return nil, false, err
	}
	value, err = cmd.Bytes()
	return value, err == nil, err
}

// Set stores a value.
func (r *Redis) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := check(key, value); err != nil {
		return err
	}
	return r.do(ctx, len(value), redis.NewStatusCmd(ctx, withTTL(ttl, "set", at(values, key), value)...))
}

// Add stores a value where there is none.
func (r *Redis) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := check(key, value); err != nil {
		return false, err
	}
	err := r.do(ctx, len(value), redis.NewStatusCmd(ctx, append(withTTL(ttl, "set", at(values, key), value), "nx")...))
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, err
}

func withTTL(ttl time.Duration, args ...any) []any {
	if ttl > 0 {
		return append(args, "px", milliseconds(ttl))
	}
	return args
}

// Delete removes a value and a window.
func (r *Redis) Delete(ctx context.Context, key string) (existed bool, err error) {
	if err := checkKey(key); err != nil {
		return false, err
	}
	cmd := redis.NewIntCmd(ctx, "del", at(values, key), at(windows, key))
	err = r.do(ctx, 0, cmd)
	if err != nil {
		return false, err
	}
	return cmd.Val() > 0, nil
}

// Incr adds to a number.
func (r *Redis) Incr(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	if _, err := add(nil, by); err != nil {
		return 0, err
	}
	cmd, err := r.script(ctx, incrSource, at(values, key), by, milliseconds(ttl), int64(MaxNumber))
	if err != nil {
		return 0, err
	}
	return cmd.Int64()
}

// Limit counts a call.
func (r *Redis) Limit(ctx context.Context, key string, most int64, per time.Duration) (ok bool, count int64, resetAfter time.Duration, err error) {
	if err := checkKey(key); err != nil {
		return false, 0, 0, err
	}
	cmd, err := r.script(ctx, limitSource, at(windows, key), most, milliseconds(per))
	if err != nil {
		return false, 0, 0, err
	}
	n, err := cmd.Int64Slice()
	if err != nil || len(n) != 3 {
		return false, 0, 0, fmt.Errorf("store: limit: %w", errors.Join(err, errAnswer))
	}
	return n[0] == 1, n[1], time.Duration(n[2]) * time.Millisecond, nil
}

var errAnswer = errors.New("not the answer that was expected")

func at(k kind, key string) string { return prefix + string(k) + ":" + key }

// script runs one of the scripts on a key.
func (r *Redis) script(ctx context.Context, source, key string, args ...any) (*redis.Cmd, error) {
	s := redis.NewScript(source)
	words := append([]any{"evalsha", s.Hash(), 1, key}, args...)
	cmd := redis.NewCmd(ctx, words...)
	err := r.do(ctx, 0, cmd)
	if redis.HasErrorPrefix(err, "NOSCRIPT") { // the server has started anew
		words[0], words[1] = "eval", source
		cmd = redis.NewCmd(ctx, words...)
		err = r.do(ctx, 0, cmd)
	}
	return cmd, err
}
