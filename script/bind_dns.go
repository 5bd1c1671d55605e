package script

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/dop251/goja"
)

// DNS is what pmilter/dns does its work with. Its errors have Name() "DNSError",
// or "TimeoutError", and a Code() as Node.js' dns has.
type DNS interface {
	// Resolve is the records of a name, at least one. kind is one of dnsTypes.
	Resolve(ctx context.Context, name, kind string) ([]DNSRecord, error)
	Reverse(ctx context.Context, ip netip.Addr) ([]string, error)
	// DNSBL asks lists about an address. It fails only when none of them answers.
	DNSBL(ctx context.Context, ip netip.Addr, zones []string) (DNSListing, error)
}

// DNSRecord is one record: text, or the fields of an MX or SRV.
type DNSRecord struct {
	Text                   string
	Name                   string
	Priority, Weight, Port int
}

// DNSListing is what lists say of an address.
type DNSListing struct {
	Listed bool
	Zones  []DNSZone // that list it
	Errors []DNSZone // that could not be asked
}

// DNSZone is one list's word.
type DNSZone struct {
	Zone    string
	Codes   []string // why it lists
	Code    string   // of the error
	Message string
}

// maxZones is how many lists are asked in one call.
const maxZones = 64

func dnsTypes() []string { return []string{"A", "AAAA", "MX", "TXT", "PTR", "NS", "CNAME", "SRV"} }

// dnsExport is an export of pmilter/dns.
func (w *World) dnsExport(name string) goja.Value {
	call := map[string]func(goja.FunctionCall) goja.Value{
		"resolve": w.dnsResolve, "reverse": w.dnsReverse, "dnsbl": w.dnsBL,
	}[name]
	return w.function(name, call)
}

func (w *World) dnsResolve(call goja.FunctionCall) goja.Value {
	name := w.stringArg(call, 0, "dns.resolve: the name")
	kind := "A"
	if v := call.Argument(1); !goja.IsUndefined(v) {
		kind = strings.ToUpper(w.stringArg(call, 1, "dns.resolve: the type"))
	}
	if !slices.Contains(dnsTypes(), kind) {
		panic(w.rt.NewTypeError("dns.resolve: no type %.50q: there are %s", kind, strings.Join(dnsTypes(), ", ")))
	}
	dns := w.set.o.Services.DNS
	return async(w, "dns.resolve", func(ctx context.Context) ([]DNSRecord, error) {
		if dns == nil {
			return nil, missingServiceError{"pmilter/dns"}
		}
		return dns.Resolve(ctx, name, kind)
	}, func(records []DNSRecord) goja.Value {
		values := make([]any, len(records))
		for i, r := range records {
			switch kind {
			case "MX":
				values[i] = w.object("preference", r.Priority, "exchange", r.Name)
			case "SRV":
				values[i] = w.object("priority", r.Priority, "weight", r.Weight, "port", r.Port, "name", r.Name)
			default:
				values[i] = w.text(r.Text)
			}
		}
		return w.rt.NewArray(values...)
	})
}

func (w *World) dnsReverse(call goja.FunctionCall) goja.Value {
	ip := w.addressArg(call, 0, "dns.reverse")
	dns := w.set.o.Services.DNS
	return async(w, "dns.reverse", func(ctx context.Context) ([]string, error) {
		if dns == nil {
			return nil, missingServiceError{"pmilter/dns"}
		}
		return dns.Reverse(ctx, ip)
	}, w.texts)
}

func (w *World) dnsBL(call goja.FunctionCall) goja.Value {
	zones := w.zonesArg(call, 1)
	if slices.Contains(zones, "") {
		panic(w.rt.NewTypeError("dns.dnsbl: the name of a zone is empty"))
	}
	dns := w.set.o.Services.DNS
	var ask func(ctx context.Context) (DNSListing, error)
	if goja.IsNull(call.Argument(0)) { // session.client.ip of a client that has none
		ask = func(context.Context) (DNSListing, error) { return DNSListing{}, nil }
	} else {
		ip := w.addressArg(call, 0, "dns.dnsbl")
		ask = func(ctx context.Context) (DNSListing, error) {
			if dns == nil {
				return DNSListing{}, missingServiceError{"pmilter/dns"}
			}
			return dns.DNSBL(ctx, ip, zones)
		}
	}
	return async(w, "dns.dnsbl", ask, func(l DNSListing) goja.Value {
		listed, failed := make([]any, len(l.Zones)), make([]any, len(l.Errors))
		for i, z := range l.Zones {
			listed[i] = w.object("zone", z.Zone, "codes", z.Codes)
		}
		for i, z := range l.Errors {
			failed[i] = w.object("zone", z.Zone, "code", z.Code, "message", z.Message)
		}
		return w.object("listed", l.Listed, "zones", w.rt.NewArray(listed...), "errors", w.rt.NewArray(failed...))
	})
}

// zonesArg is a zone or a list of these.
func (w *World) zonesArg(call goja.FunctionCall, n int) []string {
	o, ok := call.Argument(n).(*goja.Object)
	if !ok || o.ClassName() != "Array" {
		return []string{w.stringArg(call, n, "dns.dnsbl: the zone")}
	}
	zones := w.names(o, "dns.dnsbl: the zones")
	if len(zones) == 0 || len(zones) > maxZones {
		panic(w.rt.NewTypeError("dns.dnsbl: %d zones: 1 to %d are asked", len(zones), maxZones))
	}
	return zones
}

// addressArg is an argument that must be an IP address in text form.
func (w *World) addressArg(call goja.FunctionCall, n int, what string) netip.Addr {
	text := w.stringArg(call, n, what+": the address")
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" {
		panic(w.rt.NewTypeError("%s: %.50q is no IP address", what, text))
	}
	return ip.Unmap()
}
