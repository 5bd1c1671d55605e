package script

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/dop251/goja"
)

// Store is what pmilter/store keeps values in. Safe for concurrent use; a method
// returns when ctx is done. package store says more of each.
type Store interface {
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	Add(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error)
	Delete(ctx context.Context, key string) (existed bool, err error)
	Incr(ctx context.Context, key string, by int64, ttl time.Duration) (sum int64, err error)
	Limit(ctx context.Context, key string, most int64, per time.Duration) (ok bool, count int64, resetAfter time.Duration, err error)
	Hold(ctx context.Context, key, holder string, most int64) (ok bool, count int64, err error)
	// Release ends what holder holds. It does not block.
	Release(holder string)
}

const (
	// maxStoreKey is how many bytes a key has, at most.
	maxStoreKey = 1024
	// maxStoreValue is how many bytes a value has as JSON, at most.
	maxStoreValue = 1 << 20
	// maxSafe is Number.MAX_SAFE_INTEGER.
	maxSafe = 1<<53 - 1
)

func storeModule() module {
	return module{exports: []string{"get", "set", "add", "delete", "incr", "limit", "hold"}, export: (*World).storeExport}
}

// storeExport is one of the module's functions.
func (w *World) storeExport(name string) goja.Value {
	f, ok := map[string]func(*storeCall) goja.Value{
		"get": (*storeCall).get, "set": (*storeCall).set, "add": (*storeCall).add, "delete": (*storeCall).delete,
		"incr": (*storeCall).incr, "limit": (*storeCall).limit, "hold": (*storeCall).hold,
	}[name]
	if !ok {
		panic(w.rt.NewTypeError("pmilter/store has no export %s", name))
	}
	return w.function(name, func(call goja.FunctionCall) goja.Value {
		c := &storeCall{w: w, what: "store." + name, store: w.set.o.Services.Store, args: call}
		w.effect(c.what)
		if c.store == nil {
			panic(w.rt.NewTypeError("%s: there is no store here", c.what))
		}
		return f(c)
	})
}

// storeCall is one call of a function of the module.
type storeCall struct {
	w     *World
	what  string // for errors
	store Store
	args  goja.FunctionCall
}

func (c *storeCall) get() goja.Value {
	key := c.key()
	c.options(1)
	return ask(c, func(ctx context.Context) ([]byte, error) {
		value, _, err := c.store.Get(ctx, key)
		return value, err
	}, func(value []byte) goja.Value {
		if value == nil {
			return goja.Null()
		}
		c.w.fit(int64(len(value)), c.what+": the value")
		v, err := jsonValue(c.w.rt, value)
		if err != nil {
			throwError(c.w.rt, "SyntaxError", "%s: what is stored is no JSON: %s", c.what, err)
		}
		return v
	})
}

func (c *storeCall) set() goja.Value {
	key, value, ttl := c.key(), c.value(), c.options(2, "ttl").duration("ttl", 0)
	return ask(c, func(ctx context.Context) (bool, error) {
		return false, c.store.Set(ctx, key, value, ttl)
	}, func(bool) goja.Value { return goja.Undefined() })
}

func (c *storeCall) add() goja.Value {
	key, value, ttl := c.key(), c.value(), c.options(2, "ttl").duration("ttl", 0)
	return ask(c, func(ctx context.Context) (bool, error) { return c.store.Add(ctx, key, value, ttl) }, c.boolean)
}

func (c *storeCall) delete() goja.Value {
	key := c.key()
	c.options(1)
	return ask(c, func(ctx context.Context) (bool, error) { return c.store.Delete(ctx, key) }, c.boolean)
}

func (c *storeCall) boolean(b bool) goja.Value { return c.w.rt.ToValue(b) }

func (c *storeCall) incr() goja.Value {
	key, o := c.key(), c.options(1, "by", "ttl")
	by, ttl := o.whole("by", 1, -maxSafe), o.duration("ttl", 0)
	return ask(c, func(ctx context.Context) (int64, error) { return c.store.Incr(ctx, key, by, ttl) },
		func(sum int64) goja.Value { return c.w.rt.ToValue(sum) })
}

// counted is what limit and hold answer.
type counted struct {
	ok         bool
	count      int64
	resetAfter time.Duration
}

func (c *storeCall) limit() goja.Value {
	key, o := c.key(), c.options(1, "max", "per")
	most, per := o.whole("max", 0, 1), o.duration("per", 0)
	if most == 0 || per == 0 {
		panic(c.w.rt.NewTypeError(`%s: max and per are needed: { max: 10, per: "1h" }`, c.what))
	}
	return ask(c, func(ctx context.Context) (n counted, err error) {
		n.ok, n.count, n.resetAfter, err = c.store.Limit(ctx, key, most, per)
		return n, err
	}, func(n counted) goja.Value {
		o := c.result(n)
		_ = o.Set("resetAfter", n.resetAfter.Milliseconds())
		return o
	})
}

func (c *storeCall) hold() goja.Value {
	key, most := c.key(), c.options(1, "max").whole("max", 0, 1)
	if c.w.holds == nil {
		c.w.holds = &holding{store: c.store, holder: rand.Text()}
	}
	h := c.w.holds
	return ask(c, func(ctx context.Context) (n counted, err error) {
		if !h.begin() {
			return n, context.Canceled // the world is gone: nobody hears this
		}
		defer h.done()
		n.ok, n.count, err = c.store.Hold(ctx, key, h.holder, most)
		return n, err
	}, func(n counted) goja.Value { return c.result(n) })
}

func (c *storeCall) result(n counted) *goja.Object {
	o := c.w.rt.NewObject()
	_ = o.Set("ok", n.ok)
	_ = o.Set("count", n.count)
	return o
}

// ask does a call's work outside the world, or here if the store never waits.
func ask[T any](c *storeCall, work func(context.Context) (T, error), value func(T) goja.Value) goja.Value {
	if s, ok := c.store.(interface{ NeverWaits() bool }); !ok || !s.NeverWaits() {
		return async(c.w, c.what, work, value)
	}
	promise, resolve, reject := c.w.rt.NewPromise()
	result, err := work(context.Background())
	c.w.settle(resolve, reject, func() goja.Value {
		if err != nil {
			panic(c.w.exception(c.what, err, c.w.rt.CaptureCallStack(8, nil)))
		}
		return value(result)
	})
	return c.w.rt.ToValue(promise)
}

// key is the first argument: a string, a number, or what has a toString of ours.
func (c *storeCall) key() string {
	v := c.args.Argument(0)
	text, ok := v.(goja.String)
	if host, isHost := hostOf(v, c.w.set.classes.address); isHost {
		text, ok = host.Get("address").(goja.String)
	}
	if goja.IsNumber(v) {
		text, ok = v.ToString().(goja.String)
	}
	if !ok {
		panic(c.w.rt.NewTypeError("%s: the key is %s, which is no string", c.what, shown(v)))
	}
	key := textBytes(text)
	if key == "" {
		panic(c.w.rt.NewTypeError("%s: the key is empty", c.what))
	}
	if len(key) > maxStoreKey {
		throwError(c.w.rt, "RangeError", "%s: the key has %d bytes: at most %d", c.what, len(key), maxStoreKey)
	}
	return key
}

// value is the second argument as JSON.
func (c *storeCall) value() []byte {
	w := &jsonWriter{jsonGuard: &jsonGuard{rt: c.w.rt, maxValue: maxStoreValue, maxLen: maxStoreValue}, strict: c.what}
	if !w.property("", nil, c.args.Argument(1)) {
		w.refuse("undefined")
	}
	return w.out
}

// options is argument n, which has no other keys than those.
func (c *storeCall) options(n int, known ...string) settings {
	return c.w.settingsArg(c.args, n, c.what, known...)
}
