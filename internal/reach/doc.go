// Package reach speaks to other servers for scripts: requests over HTTP, and one
// exchange of bytes over TCP or a unix socket.
//
// It reaches what permit allows and nothing else, judged for every request and
// every redirect, and for every address that is connected to. All worlds share its
// kept-alive connections. Everything has an end: ctx's deadline, and the most bytes
// that an answer may have, counted as they come out of decompression. Proxies that
// the environment names are not used.
package reach
