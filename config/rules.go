package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/go-playground/validator/v10"
)

// rule is what one value must be, by the tag that names it in the types.
type rule struct {
	pattern string            // for the schema too; empty where ok decides
	ok      func(string) bool // made from pattern where there is one
	says    string            // after the key: "must be …"
	hint    string
	hide    bool // the value is not repeated
}

// rules has every rule by its tag. It is made once and only read then.
var rules = sync.OnceValue(func() map[string]rule {
	all := textRules()
	for tag, r := range all {
		if r.ok == nil {
			r.ok = regexp.MustCompile(r.pattern).MatchString
			all[tag] = r
		}
	}
	return all
})

const (
	memberHint  = "in Slack: the person's profile, the three dots, Copy member ID"
	channelHint = "in Slack: the channel's name, About, the id at the bottom"
	teamHint    = "open Slack in a browser: the id stands in the address, after /client/"
)

func textRules() map[string]rule { //nolint:funlen // a table
	return map[string]rule{
		"team": {pattern: `^[TE][A-Z0-9]{6,}$`, says: "must be the id of a workspace (T…)", hint: teamHint},
		"channel": {
			pattern: `^[CG][A-Z0-9]{6,}$`, says: "must be the id of a channel (C… or G…), not its name", hint: channelHint,
		},
		"member": {
			pattern: `^[UW][A-Z0-9]{6,}$`, says: "must be a member id (U… or W…), not a name or an e-mail address",
			hint: memberHint,
		},
		"transport": {pattern: `^(http|socket)$`, says: "must be http or socket"},
		"usergroup": {
			pattern: `^S[A-Z0-9]{6,}$`, says: "must be the id of a user group (S…), not its handle",
			hint: "in Slack: People, User groups, the group, the three dots, Copy group ID",
		},
		"otprule": {pattern: `^(off|optional|required)$`, says: "must be off, optional or required"},
		"apiurl": {
			ok: apiURL, says: "must be an https:// address (http:// only on this machine), without query, user or password",
			hint: "the real one is " + defaultAPIURL, hide: true,
		},
		"vultrurl": {
			ok: apiURL, says: "must be an https:// address (http:// only on this machine), without query, user or password",
			hint: "the real one is " + defaultVultrURL, hide: true,
		},
		"uuid": {
			pattern: `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, says: "must be an id of 32 small hexadecimal digits with four dashes",
			hint: "in the customer portal: the end of the server's address; of a record: the API's list of the domain's records",
			hide: true,
		},
		"dnsname": {
			pattern: `^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?)*$`,
			says:    "must be a name in the DNS, without a dot at its end",
		},
		"fence": {pattern: `^(local|kube|vultr)$`, says: "must be one of the node's drivers: local, kube or vultr"},
		"kubelabel": {
			pattern: `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`, says: "can't be a name in Kubernetes",
			hint: "lower-case letters, digits and -, at most 63",
		},
		"kubename": {
			pattern: `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`, says: "can't be a name in Kubernetes",
			hint: "lower-case letters, digits, - and dots",
		},
		"kubecontext": {
			ok: func(s string) bool { return len(s) <= 253 && !control.MatchString(s) }, says: "can't be the name of a context",
			hint: "kubectl config get-contexts lists them",
		},
		"person": {
			pattern: `^[\p{L}\p{N}][\p{L}\p{N} ._'-]{0,39}$`,
			says:    "must be a name of at most 40 letters, digits, spaces and . _ ' -",
		},
		"word": {
			pattern: `^[\p{L}\p{N}_][\p{L}\p{N} ._-]{0,62}$`,
			says:    "must be a word of at most 63 letters, digits, spaces and . _ -",
		},
		"pairname": {
			pattern: `^[a-z0-9][a-z0-9_-]{0,39}$`, says: "must be a short name that is easy to type",
			hint: "lower-case letters, digits, - and _, at most 40",
		},
		"nodename": {
			ok: syncName, says: "can't be a standby's name in synchronous_standby_names without quotes",
			hint: "begin with a letter; then letters, digits and _, at most 50; not FIRST or ANY, not ending in _rejoin",
		},
		"slot": {
			pattern: `^[a-z0-9_]{1,63}$`, says: "can't be the name of a replication slot",
			hint: "lower-case letters, digits and _, at most 63",
		},
		"dbname": {
			ok: databaseName, says: "can't be a name in PostgreSQL", hint: "at most 63 bytes, no control characters",
		},
		"host": {
			ok: hostName, says: "must be one host name or IP address, without port",
			hint: "two servers are two nodes; a port has its own key",
		},
		"ip": {
			ok: ipAddress, says: "must be an IP address",
			hint: "the one that the partner sees: pg_stat_replication.client_addr",
		},
		"listen": {
			ok: listenAddress, says: "must be host:port with a port up to 65535",
			hint: "for example 127.0.0.1:8080, or :8080 for every address",
		},
		"abspath": {ok: absolute, says: "must be a whole path, from / on", hide: true},
		"socket": {
			ok: func(s string) bool { return len(s) <= longestSocket }, hide: true,
			says: fmt.Sprintf("is too long for a socket; the system takes %d bytes", longestSocket),
			hint: "for example /run/twokey/admin.sock",
		},
		"cron": {
			ok: func(s string) bool { return cronProblem(s) == "" }, says: "must be a cron spec",
			hint: "for example @every 30s, @hourly, or 0 9 * * 1-5 (minute hour day month weekday)",
		},
		"timezone": {ok: timezone, says: "must be a time zone", hint: "for example UTC or Europe/Berlin"},
		"hours": {
			pattern: `^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$`, says: "must be two times of the day",
			hint: "for example 22:00-07:00",
		},
		"weburl": {ok: webURL, says: "must be an https:// address without user or password", hint: "the page's own, without an anchor"},
		"sslmode": {
			pattern: `^(disable|require|verify-ca|verify-full)$`, says: "must be disable, require, verify-ca or verify-full",
			hint: "allow and prefer may go on without encryption, so they are not to be had",
		},
		"after": {pattern: `^(block|degrade)$`, says: "must be block or degrade"},
	}
}

// longestSocket is what sun_path holds on Linux, less the closing zero; other
// systems take 103.
const longestSocket = 103

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,49}$`)

// syncName says whether a name stands in synchronous_standby_names without
// quotes and leaves room for the suffix under which a returning node connects.
func syncName(s string) bool {
	lower := strings.ToLower(s)
	return identifier.MatchString(s) && lower != "first" && lower != "any" && !strings.HasSuffix(lower, "_rejoin")
}

var control = regexp.MustCompile(`\p{C}`)

func databaseName(s string) bool { return len(s) <= 63 && !control.MatchString(s) }

var dnsName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)

func hostName(s string) bool {
	if addr, err := netip.ParseAddr(bareHost(s)); err == nil {
		return !addr.IsUnspecified() && !addr.IsMulticast()
	}
	allDigits := strings.Trim(s, "0123456789.") == ""
	return len(s) <= 253 && dnsName.MatchString(s) && !allDigits
}

// bareHost takes the brackets from an IPv6 address.
func bareHost(s string) string {
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		return strings.TrimSuffix(inner, "]")
	}
	return s
}

func ipAddress(s string) bool {
	addr, err := netip.ParseAddr(s)
	return err == nil && !addr.IsUnspecified() && !addr.IsMulticast()
}

func listenAddress(s string) bool {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return false
	}
	host, port := s[:i], s[i+1:]
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return false
	}
	if addr, err := netip.ParseAddr(bareHost(host)); err == nil {
		return addr.Is4() || strings.HasPrefix(host, "[")
	}
	return host == "" || hostName(host)
}

func apiURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !hostName(u.Hostname()) {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())
}

func webURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && u.Fragment == "" && !strings.ContainsAny(s, "<>| ")
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func absolute(s string) bool {
	return filepath.IsAbs(s) && !control.MatchString(s) && filepath.Clean(s) != "/"
}

// newValidator knows the tags of the types. It is made once: it only caches
// what it has learned about types, which doesn't change.
var newValidator = sync.OnceValue(func() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(yamlName)
	for tag, r := range rules() {
		must(v.RegisterValidation(tag, func(f validator.FieldLevel) bool { return r.ok(f.Field().String()) }))
	}
	must(v.RegisterValidation("span", inSpan))
	must(v.RegisterValidation("size", func(f validator.FieldLevel) bool { return f.Field().Uint() > 0 }))
	must(v.RegisterValidation("ref", refSet, true))
	must(v.RegisterValidation("optionalref", func(validator.FieldLevel) bool { return true }))
	return v
})

// must panics on a rule that can't be registered: a mistake in this file that
// any test shows.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func inSpan(f validator.FieldLevel) bool {
	low, high := span(f.Param())
	d := Duration(f.Field().Int())
	return low <= d && d <= high
}

// span reads the parameter "1s 7d".
func span(param string) (low, high Duration) {
	from, to, _ := strings.Cut(param, " ")
	low, err := ParseDuration(from)
	must(err)
	high, err = ParseDuration(to)
	must(err)
	return low, high
}

func refSet(f validator.FieldLevel) bool {
	r, ok := reflect.TypeAssert[Ref](f.Field())
	return ok && !r.IsZero()
}

// judgeValues reports each value that breaks its rule.
func (s *source) judgeValues(c Config) {
	err := newValidator().Struct(c)
	found, ok := errors.AsType[validator.ValidationErrors](err)
	if err != nil && !ok {
		s.report("", position{}, "the values can't be judged: "+err.Error(), "")
	}
	for _, f := range found {
		_, key, _ := strings.Cut(f.Namespace(), ".")
		text, hint := sentence(f)
		s.reportKey(key, text, hint)
	}
}

// sentence says what is wrong with one value.
func sentence(f validator.FieldError) (text, hint string) {
	if r, ok := rules()[f.Tag()]; ok {
		return r.sentence(fmt.Sprint(f.Value()))
	}
	switch f.Tag() {
	case "span":
		low, high := span(f.Param())
		return fmt.Sprintf("must be between %s and %s, it is %s", low, high, f.Value()), ""
	case "size":
		return "must be larger than 0", ""
	case "ref":
		return "is missing", refHint
	case "len":
		return fmt.Sprintf("must have exactly %s entries, it has %d", f.Param(), length(f.Value())), "a pair is two servers"
	case "min":
		return "must have at least one entry", ""
	}
	return "is missing", ""
}

func (r rule) sentence(value string) (text, hint string) {
	if r.hide {
		return r.says, r.hint
	}
	if strings.HasPrefix(r.says, "must be a cron") {
		return fmt.Sprintf("%s, but %q %s", r.says, value, cronProblem(value)), r.hint
	}
	return fmt.Sprintf("%s, it is %q", r.says, value), r.hint
}

func length(v any) int { return reflect.ValueOf(v).Len() }
