package script

import (
	"context"

	"github.com/dop251/goja"
)

// Maildirs is what pmilter/maildir does its work with.
type Maildirs interface {
	// Deliver stores a message, durably, in the Maildir at path, which it makes where
	// it is missing. With an id it does so once, however often it is asked; new is
	// false when the message was there. Errors may have Name() "PermissionError".
	Deliver(ctx context.Context, path, id string, message []byte) (file string, isNew bool, err error)
}

// maildirExport is an export of pmilter/maildir.
func (w *World) maildirExport(name string) goja.Value { return w.function(name, w.deliver) }

type delivered struct {
	file  string
	isNew bool
}

// deliver is deliver(folder, message, { id }).
func (w *World) deliver(call goja.FunctionCall) goja.Value {
	path := w.stringArg(call, 0, "maildir.deliver: the folder")
	if v := call.Argument(1); goja.IsUndefined(v) || goja.IsNull(v) {
		panic(w.rt.NewTypeError("maildir.deliver: the message is missing"))
	}
	message := w.messageBytes(call.Argument(1))
	id := w.settingsArg(call, 2, "maildir.deliver", "id").text("id", "")
	service := w.set.o.Services.Maildirs
	return async(w, "maildir.deliver", func(ctx context.Context) (delivered, error) {
		if service == nil {
			return delivered{}, missingServiceError{"pmilter/maildir"}
		}
		file, isNew, err := service.Deliver(ctx, path, id, message)
		return delivered{file, isNew}, err
	}, func(d delivered) goja.Value { return w.object("file", d.file, "delivered", d.isNew) })
}
