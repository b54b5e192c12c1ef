package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"twokey/approvals"
)

// judge reports what is wrong with values that have the right shape: each for
// itself, and then, when those are fine, against one another.
func (s *source) judge(c Config) {
	s.judgeValues(c)
	if len(s.problems) > 0 {
		return
	}
	s.judgeTransport(c.Slack)
	s.judgePeople(c.Policy)
	s.judgePaths(c)
	s.judgePairs(c.Pairs)
	s.judgeVultr(c)
	s.judgeKube(c)
}

// judgeTransport wants the secret that the chosen transport needs.
func (s *source) judgeTransport(c Slack) {
	switch {
	case c.Socket() && c.AppToken.IsZero():
		s.reportKey("slack.app_token", "is missing: transport socket is opened with it", refHint)
	case !c.Socket() && c.SigningSecret.IsZero():
		s.reportKey("slack.signing_secret", "is missing: deliveries over http are checked with it", refHint)
	}
}

// judgePeople refuses one person under two names, and too few of them.
func (s *source) judgePeople(p Policy) {
	names, accounts := map[string]string{}, map[string]string{}
	s.judgeNames("policy.approvers", p.Approvers, names, accounts)
	s.judgeNames("policy.people", p.People, names, accounts)
	if p.OTP != string(approvals.FactorOff) && p.OTPKey.IsZero() {
		s.reportKey("policy.otp_key", "is missing: without it no code's secret can be kept", refHint)
	}
	switch {
	case p.ApproverGroup != "" && len(p.Approvers) > 0:
		s.reportKey("policy.approver_group", "stands beside approvers: either a list says who may approve, or a group does", "names for the group's members belong into people")
		return
	case p.ApproverGroup == "" && len(p.Approvers) == 0:
		s.reportKey("policy.approvers", "must have at least one entry", "or name a user group as approver_group")
		return
	}
	if refused, ok := errors.AsType[*approvals.Refusal](p.Domain().Validate()); ok {
		s.reportKey("policy.approvers", "can't ever be enough: "+refused.Message, "")
	}
}

// judgeNames looks at one list; names and accounts hold the key of each seen
// before.
func (s *source) judgeNames(list string, people []Approver, names, accounts map[string]string) {
	for i, who := range people {
		key := fmt.Sprintf("%s[%d]", list, i)
		if first, dup := names[strings.ToLower(who.Name)]; dup {
			s.reportKey(key+".name", fmt.Sprintf("is %q, as is %s: two people need two names", who.Name, first), "")
		}
		if first, dup := accounts[who.Slack]; dup {
			s.reportKey(key+".slack", fmt.Sprintf("is the account of %s too: one person can't approve twice", first), memberHint)
		}
		names[strings.ToLower(who.Name)], accounts[who.Slack] = key, key
	}
}

// seen notes where a thing stood first, and says so when it stands there again.
func seen(where map[string]int, thing string, i int) (first int, dup bool) {
	first, dup = where[thing]
	if !dup {
		where[thing] = i
	}
	return first, dup
}

func (s *source) judgePaths(c Config) {
	if c.Store == c.AdminSocket {
		s.reportKey("admin_socket", "is the same file as store", "the socket needs a path of its own")
	}
}

// judgePairs refuses what would make two servers one, or two pairs.
func (s *source) judgePairs(pairs []Pair) {
	names, servers, folders := map[string]int{}, map[string]string{}, map[string]string{}
	for i, p := range pairs {
		key := fmt.Sprintf("pairs[%d]", i)
		if first, dup := seen(names, p.Name, i); dup {
			s.reportKey(key+".name", fmt.Sprintf("is %q, as is pair %d: every pair needs a name of its own", p.Name, first+1), "")
		}
		s.judgeNodes(key, p)
		for j, n := range p.Nodes {
			node := fmt.Sprintf("%s.nodes[%d]", key, j)
			s.judgeServer(node, i, p, n, servers)
			s.judgeFolder(node, n.Driver.Local, folders)
		}
	}
}

// judgeServer refuses a server that stands in the file twice. servers holds
// the key of each seen before, by address.
func (s *source) judgeServer(key string, pair int, p Pair, n Node, servers map[string]string) {
	address := serverAddress(n)
	other, dup := servers[address]
	switch {
	case !dup:
		servers[address] = key
	case strings.HasPrefix(other, fmt.Sprintf("pairs[%d].", pair)):
		s.reportKey(key+".host", fmt.Sprintf("makes both nodes of pair %s the same server (%s)", p.Name, address), "a pair is two servers; give each its own host or port")
	default:
		s.reportKey(key+".host", fmt.Sprintf("names the server %s, which %s has already: a server belongs to one pair", address, other), "")
	}
}

// judgeFolder refuses a data folder of two servers. folders holds the key of
// each seen before.
func (s *source) judgeFolder(key string, l *Local, folders map[string]string) {
	if l == nil {
		return
	}
	folder := filepath.Clean(l.DataDir)
	if other, dup := folders[folder]; dup {
		s.reportKey(key+".driver.local.data_dir", "is that of "+other+" too: a data folder belongs to one server", "")
		return
	}
	folders[folder] = key
}

// serverAddress is host:port in one notation: two spellings of a server that
// can be told to be one without asking anybody become equal.
func serverAddress(n Node) string {
	host := strings.TrimSuffix(strings.ToLower(bareHost(n.Host)), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		host = addr.Unmap().String()
	}
	if host == "localhost" || host == "::1" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(int(n.Port)))
}

func (s *source) judgeNodes(key string, p Pair) {
	first, second := p.Nodes[0], p.Nodes[1]
	if strings.EqualFold(first.Name, second.Name) {
		s.reportKey(key+".nodes[1].name", fmt.Sprintf("is %q and the other node's is %q: PostgreSQL ignores case in these names, so they are one", second.Name, first.Name), "")
	}
	if first.Slot == second.Slot {
		s.reportKey(key+".nodes[1].slot", fmt.Sprintf("is %q for both nodes: each needs its own", second.Slot), "")
	}
	for i, n := range p.Nodes {
		s.judgeLogin(fmt.Sprintf("%s.nodes[%d]", key, i), n)
	}
}

// judgeLogin wants exactly one way to log in.
func (s *source) judgeLogin(key string, n Node) {
	if !n.Password.IsZero() && n.Passfile != "" {
		s.reportKey(key+".passfile", "stands beside password: which of them holds?", "remove one of the two")
	}
	if (n.SSLCert == "") != (n.SSLKey == "") {
		s.reportKey(key+".sslcert", "and sslkey need each other: one of them is missing", "")
	}
	if n.Password.IsZero() && n.Passfile == "" && n.SSLCert == "" {
		s.reportKey(key, "has no way to log in: password, passfile or sslcert is missing", refHint)
	}
	if local := n.Driver.Local; local != nil {
		s.judgeLocal(key+".driver.local", *local)
	}
}

// judgeLocal refuses what a rewind or copy would destroy, and a verification
// that the server's programs can't do: unlike the bot they don't know the
// system's certificates.
func (s *source) judgeLocal(key string, l Local) {
	for name, path := range map[string]string{"upstream_file": l.Include, "replication.passfile": l.Replication.Passfile} {
		if within(path, l.DataDir) {
			s.reportKey(key+"."+name, "lies in the data folder, where a rewind or a copy replaces it", "put it beside the data folder")
		}
	}
	r := l.Replication
	if strings.HasPrefix(r.SSLMode, "verify-") && r.SSLRootCert == "" {
		s.reportKey(key+".replication.sslrootcert", "is missing: with sslmode "+r.SSLMode+" the server's programs need it", "")
	}
}

func within(path, folder string) bool {
	rel, err := filepath.Rel(folder, path)
	return path != "" && err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
