package reach

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"pmilter/internal/permit"
)

// Client sends requests. It is safe for concurrent use.
type Client struct {
	dialer    *permit.Dialer
	transport *http.Transport
}

// NewClient makes a Client whose connections d makes. roots are whose
// certificates are trusted; nil is the system's.
func NewClient(d *permit.Dialer, roots *x509.CertPool) *Client {
	return &Client{d, &http.Transport{
		Proxy:                  nil, // not the environment's: it would be a way around the permissions
		DialContext:            d.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    64,
		MaxConnsPerHost:        256, // more wait for one of these
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}}
}

// Close closes the connections that nobody uses. After a change of the rules it
// sees to it that all are made under the new ones.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Request is what to ask. URL is http or https.
type Request struct {
	Method, URL string
	Header      [][2]string
	Body        []byte
	MaxSize     int64  // bytes of the answer's body, decompressed
	Redirect    string // "follow" (up to 5), "manual" (the redirect is the answer) or "error"
}

// Response is the answer, whatever its status. Header has the fields in
// alphabetical order.
type Response struct {
	Status     int
	StatusText string
	URL        string // that answered, after redirects
	Redirected bool
	Header     [][2]string
	Body       []byte
}

// maxRedirects are followed.
const maxRedirects = 5

// InputError is a request that cannot be sent, whoever may be reached: a fault
// of the script.
type InputError struct{ text string }

func (e *InputError) Error() string { return e.text }

// Name is what scripts know the error by.
func (e *InputError) Name() string { return "TypeError" }

// Fetch sends a request and reads the whole answer. It returns when ctx is done.
// The error is an *InputError, or as Failure says.
func (c *Client) Fetch(ctx context.Context, r Request) (*Response, error) {
	req, err := newRequest(ctx, r)
	if err != nil {
		return nil, err
	}
	to := req.URL.Host
	hops := 0
	client := &http.Client{Transport: guarded{c}, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		hops = len(via)
		return redirect(next, via, r)
	}}
	resp, err := client.Do(req)
	if err != nil {
		var outer *url.Error // has the whole URL, secrets too
		if errors.As(err, &outer) {
			err = outer.Err
		}
		var refusal *permit.Error
		if hops > 0 && errors.As(err, &refusal) { // not the script's wish: who reads the line to add must know
			return nil, fmt.Errorf("%s redirects to where scripts may not go: %w", to, refusal)
		}
		return nil, Failure(ctx, to, err)
	}
	defer resp.Body.Close()
	body, err := readBody(resp, r.MaxSize)
	if err != nil {
		return nil, Failure(ctx, to, err)
	}
	out := &Response{
		Status: resp.StatusCode, StatusText: strings.TrimSpace(strings.TrimLeft(resp.Status, "0123456789")),
		URL: resp.Request.URL.String(), Redirected: hops > 0 && r.Redirect != "manual", Body: body,
	}
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		for _, value := range resp.Header[name] {
			out.Header = append(out.Header, [2]string{strings.ToLower(name), value})
		}
	}
	return out, nil
}

// newRequest checks what a script gave.
func newRequest(ctx context.Context, r Request) (*http.Request, error) {
	bad := func(text string) (*http.Request, error) { return nil, &InputError{text} }
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return bad(err.Error())
	}
	switch {
	case req.URL.Scheme != "http" && req.URL.Scheme != "https":
		return bad("the URL begins neither with http: nor with https:")
	case req.URL.User != nil:
		return bad("the URL has a user or password: send the header Authorization")
	case r.Method == http.MethodConnect || strings.EqualFold(r.Method, http.MethodTrace):
		return bad("the method " + r.Method + " is not for scripts")
	case len(r.Body) > 0 && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		return bad("a " + r.Method + " has no body")
	}
	req.Header.Set("User-Agent", "pmilterd")
	own := map[string]bool{}
	for _, h := range r.Header {
		name, value := http.CanonicalHeaderKey(h[0]), h[1]
		switch {
		case !httpguts.ValidHeaderFieldName(h[0]) || !httpguts.ValidHeaderFieldValue(value):
			return bad("not a header: " + h[0])
		case slices.Contains(ownHeaders(), name) || strings.HasPrefix(name, "Proxy-"):
			return bad("the header " + h[0] + " is not for scripts to set")
		case own[name]:
			req.Header.Add(name, value)
		default:
			req.Header.Set(name, value)
		}
		own[name] = true
	}
	if len(r.Body) == 0 {
		req.Body, req.GetBody = http.NoBody, nil
	}
	return req, nil
}

// ownHeaders are those that say how a message is sent, which is not the script's.
func ownHeaders() []string {
	return []string{
		"Accept-Encoding", "Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade",
	}
}

// redirect decides about the next hop. The permissions are looked at when it is
// sent (see guarded).
func redirect(next *http.Request, via []*http.Request, r Request) error {
	switch {
	case r.Redirect == "manual":
		return http.ErrUseLastResponse
	case r.Redirect == "error":
		return fail("EREDIRECT", "%s: redirects to %s", via[0].URL.Host, next.URL.Host)
	case len(via) > maxRedirects:
		return fail("EREDIRECT", "%s: more than %d redirects", via[0].URL.Host, maxRedirects)
	case next.URL.Scheme != "http" && next.URL.Scheme != "https", next.URL.User != nil:
		return fail("EREDIRECT", "%s: redirects to what is not http", via[0].URL.Host)
	case next.URL.Scheme == "http" && via[len(via)-1].URL.Scheme == "https":
		return fail("EREDIRECT", "%s: redirects from https to http", via[0].URL.Host)
	}
	next.Header.Del("Referer")
	if next.URL.Scheme != via[0].URL.Scheme || next.URL.Host != via[0].URL.Host {
		// What the script said to one server, keys above all, is not for another.
		for name := range next.Header {
			switch name {
			case "Accept", "Accept-Language", "Content-Type", "Content-Language", "User-Agent":
			default:
				next.Header.Del(name)
			}
		}
	}
	return nil
}

// readBody reads to the end, at most max bytes.
func readBody(resp *http.Response, max int64) ([]byte, error) {
	tooLarge := fail("EMSGSIZE", "%s: the answer is larger than %d bytes (maxSize)", resp.Request.URL.Host, max)
	if resp.ContentLength > max && resp.Request.Method != http.MethodHead {
		return nil, tooLarge
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, max+1))
	if int64(len(body)) > max {
		return nil, tooLarge
	}
	return body, err
}

// guarded asks the rules before each request, also before one that goes over a
// connection that was made earlier.
type guarded struct{ c *Client }

// RoundTrip implements http.RoundTripper.
func (g guarded) RoundTrip(req *http.Request) (*http.Response, error) {
	port := req.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[req.URL.Scheme]
	}
	host := req.URL.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	t, err := permit.ParseTarget(host + ":" + port)
	if err != nil {
		return nil, &InputError{err.Error()}
	}
	if err := g.c.dialer.Rules().Connect(t); err != nil {
		return nil, err
	}
	return g.c.transport.RoundTrip(req)
}
