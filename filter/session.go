package filter

// Session is what scripts know of one SMTP session.
type Session struct {
	ID string
}
