package actions

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Conn is the pair's connection string: both hosts, so that clients find
// whichever takes writes, first the node that does now.
func (p Pair) Conn(first string) ConnString {
	nodes := []Node{p.Nodes[0], p.Nodes[1]}
	if nodes[1].Name == first {
		nodes[0], nodes[1] = nodes[1], nodes[0]
	}
	return ConnString{URI: p.uri(nodes), Keywords: p.keywords(nodes)}
}

func (p Pair) uri(nodes []Node) string {
	var hosts []string
	for _, n := range nodes {
		host := strings.ReplaceAll(n.Host, "%", "%25") // of an IPv6 zone
		hosts = append(hosts, net.JoinHostPort(host, strconv.Itoa(int(n.Port))))
	}
	user := ""
	if p.User != "" {
		user = url.User(p.User).String() + "@"
	}
	q := "target_session_attrs=read-write"
	if p.SSLMode != "" {
		q += "&sslmode=" + url.QueryEscape(p.SSLMode)
	}
	return fmt.Sprintf("postgresql://%s%s/%s?%s", user, strings.Join(hosts, ","), url.PathEscape(p.Database), q)
}

func (p Pair) keywords(nodes []Node) string {
	words := []string{
		"host=" + quoteValue(nodes[0].Host+","+nodes[1].Host),
		fmt.Sprintf("port=%d,%d", nodes[0].Port, nodes[1].Port),
		"dbname=" + quoteValue(p.Database),
	}
	if p.User != "" {
		words = append(words, "user="+quoteValue(p.User))
	}
	if p.SSLMode != "" {
		words = append(words, "sslmode="+p.SSLMode)
	}
	return strings.Join(append(words, "target_session_attrs=read-write"), " ")
}

// quoteValue quotes as libpq reads it: where it is empty or has white space, a
// quote or a backslash.
func quoteValue(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n\v\f\r'\\") {
		return s
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
