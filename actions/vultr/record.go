package vultr

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/vultr/govultr/v3"

	"twokey/actions"
)

// Record is a DNS record that leads clients to one node of a pair.
type Record struct {
	api  *API
	opt  RecordOptions
	kind string // A, AAAA or CNAME
}

var _ actions.Endpoint = (*Record)(nil)

// RecordOptions say which record, and what it holds for each node.
type RecordOptions struct {
	Domain string
	ID     string // a UUID
	Name   string // within the domain, "" for the domain itself
	// TTL is how long resolvers keep the record: whole seconds, at least one.
	TTL time.Duration
	// Hosts are what the record holds, by node: all IPv4 addresses, all IPv6
	// addresses, or all names.
	Hosts map[string]string
}

// Record with these options. It is not looked at yet.
func (a *API) Record(o RecordOptions) (*Record, error) {
	if err := checkID("DNS record", o.ID); err != nil {
		return nil, err
	}
	if !domainName.MatchString(o.Domain) || o.Name != "" && !domainName.MatchString(o.Name) {
		return nil, fmt.Errorf("%q in %q is no DNS name", o.Name, o.Domain)
	}
	if o.TTL < time.Second || o.TTL%time.Second != 0 {
		return nil, fmt.Errorf("the TTL of %s must be whole seconds, it is %s", o.Domain, o.TTL)
	}
	o.Hosts = maps.Clone(o.Hosts)
	for node, host := range o.Hosts {
		o.Hosts[node] = plainHost(host)
	}
	kind, err := kindOf(o.Hosts)
	if err == nil && kind == "CNAME" && o.Name == "" {
		err = errors.New("the domain itself can't be an alias: give the record a name, or the nodes addresses")
	}
	if err != nil {
		return nil, err
	}
	return &Record{a, o, kind}, nil
}

var domainName = regexp.MustCompile(`^[A-Za-z0-9_*]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?$`)

// kindOf is the type of a record that can hold any of the hosts.
func kindOf(hosts map[string]string) (string, error) {
	kinds, values := map[string]bool{}, map[string]bool{}
	for _, host := range hosts {
		kinds[kindOfHost(host)], values[host] = true, true
	}
	if len(kinds) != 1 || len(values) != len(hosts) || len(hosts) < 2 {
		return "", fmt.Errorf("a record can't lead to each of %s: it needs two different IPv4 addresses, two IPv6 addresses, or two names",
			strings.Join(slices.Sorted(maps.Values(hosts)), ", "))
	}
	return slices.Collect(maps.Keys(kinds))[0], nil
}

func kindOfHost(host string) string {
	addr, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return "CNAME"
	case addr.Is4():
		return "A"
	}
	return "AAAA"
}

// plainHost is one notation for what DNS takes for the same.
func plainHost(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

func (r *Record) fqdn() string { return strings.TrimPrefix(r.opt.Name+"."+r.opt.Domain, ".") }

func (r *Record) seconds() int { return int(r.opt.TTL / time.Second) }

// Describe implements [actions.Endpoint].
func (r *Record) Describe() string {
	return fmt.Sprintf("DNS record %s (%s, at Vultr, TTL %d s: whoever has asked before finds the new one at most that much later)", r.fqdn(), r.kind, r.seconds())
}

// Read implements [actions.Endpoint]. A record with another TTL than the
// configured one is an error: the plan would promise what isn't so.
func (r *Record) Read(ctx context.Context) (string, error) {
	seen, err := r.look(ctx)
	if err != nil {
		return "", err
	}
	node := r.nodeOf(seen)
	if seen.TTL != r.seconds() {
		return node, fmt.Errorf("DNS record %s holds %s, but its TTL is %d s, not %d s: clients would keep it that long. Set it there, or in the configuration", r.fqdn(), seen.Data, seen.TTL, r.seconds())
	}
	return node, nil
}

func (r *Record) nodeOf(seen *govultr.DomainRecord) string {
	for node, host := range r.opt.Hosts {
		if plainHost(seen.Data) == host {
			return node
		}
	}
	return ""
}

// look reads the record and makes sure that it is the one that is meant.
func (r *Record) look(ctx context.Context) (*govultr.DomainRecord, error) {
	what := "read DNS record " + r.fqdn()
	var seen *govultr.DomainRecord
	err := r.api.read(ctx, what, func(ctx context.Context, c *govultr.Client) (err error) {
		seen, _, err = c.DomainRecord.Get(ctx, r.opt.Domain, r.opt.ID) //nolint:bodyclose // the library has closed it
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case seen == nil || seen.ID != r.opt.ID:
		return nil, &Error{What: what, Status: 200, Why: "the answer is not about this record", Fix: fixAddress}
	case !strings.EqualFold(seen.Name, r.opt.Name) || seen.Type != r.kind:
		return nil, &Error{
			What: what, Status: 200, Why: fmt.Sprintf("record %s is %q of type %s, not %q of type %s", r.opt.ID, seen.Name, seen.Type, r.opt.Name, r.kind),
			Fix: "Check name and record in the configuration; the bot changes no other record.",
		}
	}
	return seen, nil
}

// Point implements [actions.Endpoint]. Each order follows a look that shows that
// it is needed, and is read back.
//
// Errors: *[Error] when no order was taken, *[actions.Uncertain] when one may
// have been.
func (r *Record) Point(ctx context.Context, node string) error {
	host, known := r.opt.Hosts[node]
	if !known {
		return fmt.Errorf("DNS record %s: nothing says what it holds for %s", r.fqdn(), node)
	}
	var failed error
	for try := range tries {
		there, err := r.holds(ctx, host)
		if err != nil {
			return errors.Join(uncertainOrNil(failed), err)
		}
		if there {
			return nil
		}
		if err = r.order(ctx, host); err == nil {
			return r.awaitHolds(ctx, host)
		}
		failed = worse(failed, err)
		if final(err) || pause(ctx, try, err) != nil {
			break
		}
	}
	if there, err := r.holds(ctx, host); err == nil && there {
		return nil
	}
	return uncertain(failed)
}

func (r *Record) order(ctx context.Context, host string) error {
	return r.api.once(ctx, "point DNS record "+r.fqdn()+" at "+host, func(ctx context.Context, c *govultr.Client) error {
		return c.DomainRecord.Update(ctx, r.opt.Domain, r.opt.ID, &govultr.DomainRecordUpdateReq{Data: host, TTL: r.seconds()})
	})
}

func (r *Record) holds(ctx context.Context, host string) (bool, error) {
	seen, err := r.look(ctx)
	return err == nil && plainHost(seen.Data) == host && seen.TTL == r.seconds(), err
}

// awaitHolds reads an order back that was taken.
func (r *Record) awaitHolds(ctx context.Context, host string) error {
	var otherwise error
	for {
		there, err := r.holds(ctx, host)
		if err == nil && there {
			return nil
		}
		if err == nil {
			otherwise = fmt.Errorf("point DNS record %s at %s: the API took the order, but the record reads otherwise", r.fqdn(), host)
		}
		if cause := sleep(ctx, r.api.opt.Pace); cause != nil {
			return &actions.Uncertain{Err: errors.Join(cause, otherwise, err)}
		}
	}
}
