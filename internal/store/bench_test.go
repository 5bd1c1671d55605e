package store_test

import (
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"pmilter/internal/redistest"
	"pmilter/internal/store"
)

// BenchmarkStore is one operation on each backend, from one goroutine and from 64.
func BenchmarkStore(b *testing.B) {
	file, err := store.OpenFile(filepath.Join(b.TempDir(), "store.db"), time.Now, zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	overRedis := store.OpenRedis(&redis.Options{Addr: redistest.Start(b).Addr}, zap.NewNop())
	defer overRedis.Close()
	memory := store.NewMemory(time.Now)
	client := store.NewClient(socket(b, memory))
	defer client.Close()
	for _, s := range []struct {
		name string
		store.Store
	}{{"memory", memory}, {"client", client}, {"file", file}, {"redis", overRedis}} {
		for _, callers := range []int{1, 64} {
			for _, op := range []string{"get", "incr", "limit"} {
				b.Run(fmt.Sprintf("%s/%s/%d", s.name, op, callers), func(b *testing.B) { operate(b, s.Store, op, callers) })
			}
		}
	}
}

func operate(b *testing.B, s store.Store, op string, callers int) {
	b.Helper()
	if err := s.Set(b.Context(), "get0", []byte(`{"a":1}`), 0); err != nil {
		b.Fatal(err)
	}
	left := make(chan int, callers)
	for i := range callers {
		go func() {
			key := fmt.Sprint(op, i)
			for range b.N/callers + 1 {
				var err error
				switch op {
				case "get":
					_, _, err = s.Get(b.Context(), "get0")
				case "incr":
					_, err = s.Incr(b.Context(), key, 1, time.Hour)
				case "limit":
					_, _, _, err = s.Limit(b.Context(), key, 1<<40, time.Hour)
				}
				if err != nil {
					b.Error(err)
				}
			}
			left <- i
		}()
	}
	for range callers {
		<-left
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// socket is a unix socket on whose other end s is served.
func socket(b *testing.B, s store.Store) net.Conn {
	b.Helper()
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_ = store.Serve(b.Context(), conn, s)
		}
	}()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	return conn
}
