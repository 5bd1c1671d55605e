package script

import (
	"context"

	"github.com/dop251/goja"
)

// Net is what pmilter/net does its work with.
type Net interface {
	// Exchange connects, sends and reads the answer. Errors are as HTTP's.
	Exchange(ctx context.Context, x NetExchange) ([]byte, error)
}

// NetExchange is one question over a connection of its own.
type NetExchange struct {
	Address string // "host:port" or "unix:/path"
	Data    []byte
	MaxSize int64 // bytes of the answer
	// Until ends the answer and is its end; empty: the answer ends when the server
	// closes, and our side is closed for sending after Data.
	Until []byte
}

// netExport is an export of pmilter/net.
func (w *World) netExport(name string) goja.Value { return w.function(name, w.exchange) }

func (w *World) exchange(call goja.FunctionCall) goja.Value {
	s := w.settingsArg(call, 2, "net.exchange", "timeout", "maxSize", "until")
	x := NetExchange{
		Address: w.stringArg(call, 0, "net.exchange: the address"), Data: w.bytesValue(call.Argument(1), "net.exchange: the data"),
		MaxSize: s.size("maxSize", defaultMaxSize), Until: s.bytes("until"),
	}
	timeout := s.duration("timeout", defaultWait)
	service := w.set.o.Services.Net
	return async(w, "net.exchange", func(ctx context.Context) ([]byte, error) {
		if service == nil {
			return nil, missingServiceError{"pmilter/net"}
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return service.Exchange(ctx, x)
	}, w.uint8Array)
}
