package script

// Services is what the modules of scripts do their work with. An interface is
// declared beside the module's bindings (bind_store.go has Store); who wires the
// server gives what implements it. A module whose service is nil throws when it is used.
type Services struct {
	Tables   Tables
	Matchers Matchers
	DNS      DNS
	HTTP     HTTP
	Net      Net
	Exec     Exec     // jobs alone
	SMTP     SMTP     // jobs alone
	Maildirs Maildirs // jobs alone
	Store    Store
	Auth     Auth
}
