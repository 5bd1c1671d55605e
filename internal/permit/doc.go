// Package permit decides what scripts may reach: which hosts and sockets
// ([permissions] net) and which programs (exec). Nothing is allowed that no entry
// allows, and each refusal says which line to write to allow it.
//
// A host that is allowed by its name is looked up by the Dialer, and each address
// is judged before it is connected to, that very address: a name that leads
// elsewhere the second time (DNS rebinding) gains nothing. Where a name may lead:
//
//   - public addresses: any name that an entry allows;
//   - loopback, private and other addresses that are not public: a name that an
//     entry spells out ("spam.example.org:783", not "*.example.org"), or an address
//     that an entry allows;
//   - link-local addresses (169.254.0.0/16 and fe80::/10, where clouds keep
//     secrets), multicast and the unspecified address: only an address that an
//     entry allows.
package permit
