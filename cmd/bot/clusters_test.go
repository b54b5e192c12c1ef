package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"twokey/actions"
	"twokey/actions/local/load"
	"twokey/actions/vultr/vultrfake"
	"twokey/bot/slacksim"
	"twokey/secret"
)

// The end-to-end test on two real clusters. It is told by the environment:
//
//	TWOKEY_KUBECONFIGS     two kubeconfigs of admins, separated by a colon: the sites
//	                       dc1 and dc2, each with a default StorageClass. The test makes the
//	                       namespace twokey of both and removes it at the end; one that
//	                       no test has made is left alone, and nothing is done then
//	TWOKEY_IMAGE_LOAD      program that brings an image into a site: NODE FILE
//	TWOKEY_SITE_HALT       programs that cut a site's power, and switch it on again if it
//	TWOKEY_SITE_START      is off: NODE; without them the disaster is left out, loudly
//	TWOKEY_POSTGRES_IMAGE  image to use in the place of the pinned one
const (
	envKubeconfigs = "TWOKEY_KUBECONFIGS"
	envHalt        = "TWOKEY_SITE_HALT"
	envStart       = "TWOKEY_SITE_START"
	envImage       = "TWOKEY_POSTGRES_IMAGE"
)

// sites are two clusters, deployed to by the project's own recipes.
type sites struct {
	*world

	dir      string
	just     string
	env      []string
	address  map[string]string // of each node, as the other and this machine reach it
	pods     map[string]string // each cluster's network of pods
	host     string            // this machine, as both reach it
	network  netip.Prefix      // that has all three
	fake     *vultrfake.Server
	password secret.Text
	roots    *x509.CertPool
}

var siteNames = []string{"dc1", "dc2"}

func newSites(t *testing.T) *sites {
	t.Helper()
	files := strings.Split(os.Getenv(envKubeconfigs), ":")
	if len(files) != 2 {
		t.Skipf("NOT CHECKED: nothing was deployed to real clusters. Name two kubeconfigs in %s; see the comment above this line in clusters_test.go", envKubeconfigs)
	}
	s := &sites{world: newClosed(t), dir: t.TempDir(), address: map[string]string{}, pods: map[string]string{}}
	for _, program := range []string{"just", "kubectl", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("there is no %s on the search path, and the recipes need it", program)
		}
	}
	s.must(os.MkdirAll(s.file("kube"), 0o700))
	for i, name := range []string{"dc1", "dc2", "bot"} { // the bot lives in dc1
		text, err := os.ReadFile(files[i%2])
		s.must(err)
		s.must(os.WriteFile(s.file("kube", name), text, 0o600))
	}
	s.env = append(os.Environ(), "TWOKEY_KUBE="+s.file("kube"), "TWOKEY_MANIFESTS="+s.file("manifests"), "TWOKEY_CONFIG="+s.file("twokey.yaml"),
		"TWOKEY_BOT="+s.build(), "TWOKEY_NODES=dc1 dc2", "TWOKEY_AS=oncall")
	if start := os.Getenv(envStart); start != "" { // a run that was killed may have left it dark
		s.power(start, "dc2")
	}
	s.claim()
	s.image()
	s.survey()
	s.manifests()
	return s
}

func (s *sites) file(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// long bounds what takes minutes on a machine that does other things besides.
func (s *sites) long() context.Context {
	ctx, cancel := context.WithTimeoutCause(s.t.Context(), 15*time.Minute, errors.New("the recipe takes too long"))
	s.t.Cleanup(cancel)
	return ctx
}

func (s *sites) build() string {
	s.t.Helper()
	program := s.file("bot")
	out, err := exec.CommandContext(s.t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	return program
}

// run runs a program with the recipes' settings, and gives what it printed.
func (s *sites) run(ctx context.Context, name string, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, arguments...)
	cmd.Dir, cmd.Env = filepath.Join("..", ".."), s.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// recipe runs one by just, as people do.
func (s *sites) recipe(arguments ...string) string {
	s.t.Helper()
	began := time.Now()
	out, err := s.run(s.long(), "just", arguments...)
	s.t.Logf("just %s: %s\n%s", strings.Join(arguments, " "), time.Since(began).Round(100*time.Millisecond), out)
	if err != nil {
		s.diagnose()
		s.must(fmt.Errorf("just %s: %w", strings.Join(arguments, " "), err))
	}
	return out
}

func (s *sites) kubectl(name string, arguments ...string) string {
	s.t.Helper()
	out, err := s.run(s.long(), "kubectl", append([]string{"--kubeconfig", s.file("kube", name), "--request-timeout=30s"}, arguments...)...)
	if err != nil {
		s.must(fmt.Errorf("kubectl %v in %s: %w: %s", arguments, name, err, out))
	}
	return strings.TrimSpace(out)
}

// diagnose logs what the pods say.
func (s *sites) diagnose() {
	for _, name := range siteNames {
		for _, arguments := range [][]string{{"get", "pods,events", "-o", "wide"}, {"logs", "postgres-0", "-c", "postgres", "--tail=40"}, {"logs", "deployment/bot", "--tail=40"}} {
			out, _ := s.run(s.t.Context(), "kubectl", append([]string{"--kubeconfig", s.file("kube", name), "--request-timeout=10s", "-n", "twokey"}, arguments...)...)
			s.t.Logf("%s, kubectl %v:\n%s", name, arguments, out)
		}
	}
}

// survey asks the clusters where they are.
func (s *sites) survey() {
	s.t.Helper()
	for _, name := range siteNames {
		s.address[name] = s.kubectl(name, "get", "nodes", "-o", `jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}`)
		s.pods[name] = s.podNetwork(name)
	}
	c, err := net.Dial("udp", net.JoinHostPort(s.address["dc1"], "9")) // sends nothing, but chooses the way
	s.must(err)
	s.host, _, err = net.SplitHostPort(c.LocalAddr().String())
	s.must(errors.Join(err, c.Close()))
	s.network = commonNetwork(s.t, s.host, s.address["dc1"], s.address["dc2"])
	s.t.Logf("dc1 %s, dc2 %s, this machine %s: all in %s", s.address["dc1"], s.address["dc2"], s.host, s.network)
}

// podNetwork is a cluster's; where it doesn't say, that of a pod that ran there.
func (s *sites) podNetwork(name string) string {
	s.t.Helper()
	if said := s.kubectl(name, "get", "nodes", "-o", "jsonpath={.items[0].spec.podCIDR}"); said != "" {
		return said
	}
	remove := func() {
		s.kubectl(name, "-n", "default", "delete", "pod", probePod, "--ignore-not-found", "--wait")
	}
	remove()
	s.kubectl(name, "-n", "default", "run", probePod, "--image=docker.io/library/twokey:latest", "--image-pull-policy=IfNotPresent", "--restart=Never", "--", "version")
	defer remove()
	s.kubectl(name, "-n", "default", "wait", "pod/"+probePod, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s")
	addr, err := netip.ParseAddr(s.kubectl(name, "-n", "default", "get", "pod", probePod, "-o", "jsonpath={.status.podIP}"))
	s.must(err)
	p, err := addr.Prefix(24)
	s.must(err)
	return p.String()
}

// probePod only shows which addresses pods get.
const probePod = "twokey-probe"

// commonNetwork is the smallest that has all addresses, and never more than a /16.
func commonNetwork(t testing.TB, addresses ...string) netip.Prefix {
	t.Helper()
	for bits := 24; bits >= 16; bits-- {
		p, err := netip.MustParseAddr(addresses[0]).Prefix(bits)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(addresses, func(a string) bool { return !p.Contains(netip.MustParseAddr(a)) }) {
			return p
		}
	}
	t.Fatalf("the clusters and this machine aren't in one network of private addresses: %v", addresses)
	return netip.Prefix{}
}

// manifests are the project's own, with these sites' addresses in the overlays.
func (s *sites) manifests() {
	s.t.Helper()
	s.must(os.CopyFS(s.file("manifests"), os.DirFS(filepath.Join("..", "..", "manifests"))))
	for i, name := range siteNames {
		partner := siteNames[1-i]
		s.edit(s.file("manifests", name, "node.env"), func(text string) string {
			for key, value := range map[string]string{
				"TWOKEY_GUARD_PARTNER_HOST": s.address[partner], "ADDRESS": s.address[name], "NETWORK": s.network.String(), "POD_NETWORK": s.pods[name],
				"API_SERVER": s.kubectl(name, "config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"),
			} {
				text = regexp.MustCompile(`(?m)^`+key+`=.*$`).ReplaceAllString(text, key+"="+value)
			}
			return text
		})
		if image := os.Getenv(envImage); image != "" {
			at := strings.LastIndex(image, ":")
			s.edit(s.file("manifests", name, "kustomization.yaml"), func(text string) string {
				return text + "images:\n  - {name: docker.io/library/postgres, newName: " + image[:at] + ", newTag: \"" + image[at+1:] + "\"}\n"
			})
		}
	}
	s.edit(s.file("manifests", "bot", "networkpolicy.yaml"), func(text string) string {
		return strings.Replace(strings.ReplaceAll(text, "10.99.0.0/24", s.network.String()), "        - {port: 443, protocol: TCP}", "        - {protocol: TCP}", 1)
	})
	// The simulated Slack and the fake account have certificates of the pair's own authority.
	s.edit(s.file("manifests", "bot", "deployment.yaml"), func(text string) string {
		return strings.Replace(text, "          ports:\n", "          env: [{name: SSL_CERT_FILE, value: /run/secrets/twokey/ca.pem}]\n          ports:\n", 1)
	})
}

func (s *sites) edit(path string, change func(string) string) {
	s.t.Helper()
	text, err := os.ReadFile(path)
	s.must(err)
	after := change(string(text))
	if after == string(text) {
		s.t.Fatalf("nothing of %s was changed", path)
	}
	s.must(os.WriteFile(path, []byte(after), 0o600))
}

// ours marks a namespace that this test has made.
const ours = "twokey.io/end-to-end-test"

// claim makes the namespace in both sites, and removes it at the end. One that is
// there already is somebody's database, unless a run that was killed has left it.
func (s *sites) claim() {
	s.t.Helper()
	for _, name := range siteNames {
		if there := s.kubectl(name, "get", "namespace", "twokey", "--ignore-not-found", "-o", "name"); there != "" &&
			s.kubectl(name, "get", "namespace", "twokey", "-o", `go-template={{index .metadata.labels "`+ours+`"}}`) != "true" {
			s.t.Fatalf("the cluster of %s has a namespace twokey that no test has made: somebody's database. Nothing was touched. Give another cluster, or remove it yourself", name)
		}
	}
	s.must(os.WriteFile(s.file("namespace.json"), []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"twokey","labels":{"`+ours+`":"true"}}}`), 0o600))
	s.clean()
	s.t.Cleanup(s.clean)
	for _, name := range siteNames {
		s.kubectl(name, "create", "-f", s.file("namespace.json"))
	}
}

// clean removes everything that a run makes, volumes too.
func (s *sites) clean() {
	for _, name := range siteNames {
		out, err := s.run(context.WithoutCancel(s.t.Context()), "kubectl", "--kubeconfig", s.file("kube", name), "--request-timeout=120s",
			"delete", "namespace", "--selector", ours+"=true", "--ignore-not-found")
		if err != nil {
			s.t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

// image brings the program into both sites.
func (s *sites) image() {
	s.t.Helper()
	if os.Getenv("TWOKEY_IMAGE_LOAD") == "" {
		s.t.Log("TWOKEY_IMAGE_LOAD is not set: the clusters must have the image twokey:latest of this very source")
		return
	}
	s.recipe("image", s.file("twokey.tar"))
	for _, name := range siteNames {
		s.recipe("image-load", name, s.file("twokey.tar"))
	}
}

// outside are the simulated Slack and the fake Vultr account, over TLS, as the bot
// reaches them from its pod.
func (s *sites) outside() (slackURL, vultrURL string) {
	s.t.Helper()
	certificate := s.certificate()
	serve := func(h http.Handler) string {
		l, err := net.Listen("tcp", net.JoinHostPort(s.host, "0"))
		s.must(err)
		server := httptest.NewUnstartedServer(h)
		s.must(server.Listener.Close())
		server.Listener = l
		server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		server.StartTLS()
		s.t.Cleanup(server.Close)
		return server.URL
	}
	s.slack = slacksim.New(slacksim.Options{SocketMode: true, Log: slog.New(slog.DiscardHandler)})
	s.onClose(s.slack.Close)
	slackURL = serve(s.slack.Handler())
	s.slack.SetBaseURL(slackURL)
	s.fake = vultrfake.New(vultrKey)
	s.t.Cleanup(s.fake.Close)
	s.fake.AddInstance(vultrInstance, "orders-dc1", "dc1")
	s.fake.AddInstance(otherInstance, "orders-dc2", "dc2")
	to, err := url.Parse(s.fake.URL)
	s.must(err)
	return slackURL, serve(httputil.NewSingleHostReverseProxy(to))
}

// certificate is one for this machine, signed as the servers' are.
func (s *sites) certificate() tls.Certificate {
	s.t.Helper()
	of := func(key string) *pem.Block {
		block, _ := pem.Decode([]byte(s.kubectl("dc1", "-n", "twokey", "get", "secret", "postgres-ca", "-o", `go-template={{index .data "`+key+`" | base64decode}}`)))
		if block == nil {
			s.t.Fatalf("postgres-ca has no %s", key)
		}
		return block
	}
	ca, err := x509.ParseCertificate(of("ca.crt").Bytes)
	s.must(err)
	signer, err := x509.ParsePKCS8PrivateKey(of("ca.key").Bytes)
	s.must(err)
	s.roots = x509.NewCertPool()
	s.roots.AddCert(ca)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "outside"}, IPAddresses: []net.IP{net.ParseIP(s.host)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(12 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, signer)
	s.must(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// configure writes the bot's configuration.
func (s *sites) configure(slackURL, vultrURL string) {
	s.t.Helper()
	text := fmt.Sprintf(`slack:
  team: %s
  channel: C0OPS00001
  api_url: %s
  transport: socket
  token: {file: /run/secrets/twokey/slack-token}
  app_token: {file: /run/secrets/twokey/slack-app-token}
listen: 0.0.0.0:8080
policy:
  approvers:
    - {name: dba-1, slack: U0DBA00001}
    - {name: dba-2, slack: U0DBA00002}
    - {name: manager, slack: U0MANAGER1}
    - {name: oncall, slack: U0ONCALL01}
schedule: {lag_check: "@every 5s"}
timeouts: {stop: 1m, fence: 30s}
vultr: {api_key: {file: /run/secrets/twokey/vultr-api-key}, api_url: %q}
pairs:
  - name: orders
    database: orders
    user: orders_app
    after_switchover: degrade
    endpoint: {kube: {}}
    nodes:
`, s.slack.Team(), s.slack.APIURL(slackURL), vultrURL)
	for name, id := range map[string]string{"dc1": vultrInstance, "dc2": otherInstance} {
		text += fmt.Sprintf(`      - name: %s
        host: %s
        port: 30432
        password: {file: /run/secrets/twokey/%s}
        sslrootcert: /run/secrets/twokey/ca.pem
        driver:
          kube: {kubeconfig: /run/secrets/twokey/%s.kubeconfig}
          vultr: {instance: %s}
          fence: [kube, vultr]
`, name, s.address[name], name, name, id)
	}
	s.must(os.WriteFile(s.file("twokey.yaml"), []byte(text), 0o600))
	s.env = append(s.env, "TWOKEY_SLACK_TOKEN="+s.slack.BotToken(), "TWOKEY_SLACK_APP_TOKEN="+s.slack.AppToken(), "TWOKEY_VULTR_API_KEY="+vultrKey)
}

// application is how clients of these nodes connect.
func (s *sites) application(nodes ...string) *pgx.ConnConfig {
	s.t.Helper()
	if s.password.Empty() {
		s.password = secret.New(s.kubectl("dc1", "-n", "twokey", "get", "secret", "postgres-passwords", "-o", `go-template={{.data.application | base64decode}}`))
	}
	var hosts []string
	for _, n := range nodes {
		hosts = append(hosts, net.JoinHostPort(s.address[n], "30432"))
	}
	attrs := "&target_session_attrs=read-write"
	if len(nodes) == 1 {
		attrs = ""
	}
	cfg, err := pgx.ParseConfig("postgresql://orders_app@" + strings.Join(hosts, ",") + "/orders?sslmode=require&connect_timeout=2" + attrs)
	s.must(err)
	cfg.Password = s.password.Reveal()
	verify := func(host string) *tls.Config {
		return &tls.Config{RootCAs: s.roots, ServerName: host, MinVersion: tls.VersionTLS13}
	}
	cfg.TLSConfig = verify(cfg.Host)
	for _, f := range cfg.Fallbacks {
		f.TLSConfig = verify(f.Host)
	}
	return cfg
}

// sample gives the application its tables and some rows, for verify-data.
func (s *sites) sample() {
	s.t.Helper()
	for _, file := range []string{"templates/schema.sql", "data/sample-data.sql"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "sql", file))
		s.must(err)
		s.recipe("exec-psql", "dc1", string(text), "orders")
	}
}

// sameRows compares what the application has on both nodes.
func (s *sites) sameRows() {
	s.t.Helper()
	s.recipe("insert-test")
	out := s.recipe("verify-data")
	for _, table := range []string{"public.users", "public.orders", "public.notes", "twokey.insert_test"} {
		if !regexp.MustCompile(`(?m)^ *` + regexp.QuoteMeta(table) + ` +[1-9].* same *$`).MatchString(out) {
			s.t.Errorf("verify-data doesn't say that both nodes have the rows of %s", table)
		}
	}
}

// How many sessions write, each row this long after the one before.
const (
	writers = 4
	writes  = 5 * time.Millisecond
)

// write begins the load, into a table that verify-data doesn't compare.
func (s *sites) write() {
	s.t.Helper()
	s.recipe("exec-psql", "dc1", "CREATE SCHEMA load; CREATE TABLE load.writes (id bigint PRIMARY KEY); "+
		"GRANT USAGE ON SCHEMA load TO orders_app; GRANT SELECT, INSERT ON load.writes TO orders_app", "orders")
	s.load = load.Start(context.WithoutCancel(s.t.Context()), load.Options{
		Config: s.application("dc1", "dc2"), Table: pgx.Identifier{"load", "writes"}, Sessions: writers, Every: writes, Patience: 20 * time.Second,
	})
	s.onClose(func() error { s.load.Stop(); return nil })
}

// decided waits for a request's message, has two approve it, and waits for its end.
// A statement that is asked for on the way is typed.
func (s *sites) decided(ask func(), done string) (text string) {
	s.t.Helper()
	seen := map[string]bool{}
	for _, m := range s.slack.Snapshot().Messages(opsChannel) {
		seen[m.TS] = true
	}
	ask()
	var ts string
	s.until("the request is posted", func(snap *slacksim.Snapshot) bool {
		for _, m := range snap.Messages(opsChannel) {
			if !seen[m.TS] && strings.Contains(m.Text, "0 of 2 approvals") {
				ts = m.TS
			}
		}
		return ts != ""
	})
	s.press(dba1, ts, "approve")
	s.press(dba2, ts, "approve")
	s.until("the request ends", func(snap *slacksim.Snapshot) bool {
		for _, m := range snap.Messages(opsChannel) {
			if seen[m.TS] {
				continue
			}
			shown := snap.Plain(m, time.Now())
			if m.TS == ts && regexp.MustCompile(`(?i)(: done|: taken back|failed half way|outcome unknown|stale|: nothing changed)`).MatchString(strings.SplitN(shown, "\n", 3)[0]) {
				text = shown
			}
		}
		return text != ""
	})
	if !strings.Contains(text, done) {
		s.diagnose()
		s.t.Fatalf("wanted %q; the channel:\n%s", done, s.slack.Transcript())
	}
	for _, m := range s.slack.Snapshot().Messages(opsChannel) {
		if !seen[m.TS] {
			text += "\n" + s.slack.Snapshot().Plain(m, time.Now())
		}
	}
	return text
}

func (s *sites) until(what string, holds func(*slacksim.Snapshot) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeoutCause(s.t.Context(), 8*time.Minute, fmt.Errorf("waited in vain until %s", what))
	defer cancel()
	if err := s.slack.Wait(ctx, holds); err != nil {
		s.diagnose()
		s.must(fmt.Errorf("%s: %w", what, errors.Join(err, context.Cause(ctx))))
	}
}

// healthy waits until the bot says that zero loss is proven.
func (s *sites) healthy(primary string) {
	s.t.Helper()
	end := time.Now().Add(5 * time.Minute)
	for {
		out, err := s.run(s.long(), "just", "verify")
		if err == nil && strings.Contains(out, "Zero acknowledged loss: proven") && regexp.MustCompile(`(?m)^`+primary+` .* primary `).MatchString(out) {
			return
		}
		if time.Now().After(end) {
			s.diagnose()
			s.t.Fatalf("%s is not the primary of a pair whose zero loss is proven:\n%s", primary, out)
		}
		time.Sleep(time.Second)
	}
}

// complete: every row that was acknowledged is there.
func (s *sites) complete() {
	s.t.Helper()
	s.must(s.load.Until(s.ctx(), 50))
	tally := s.load.Stop()
	conn, err := pgx.ConnectConfig(s.ctx(), s.application("dc1", "dc2"))
	s.must(err)
	defer func() { _ = conn.Close(context.Background()) }()
	lost, err := s.load.Lost(s.ctx(), conn)
	s.must(err)
	s.t.Logf("rows: %+v, lost: %d", tally, len(lost))
	if len(lost) > 0 || tally.Acknowledged < 500 {
		s.t.Errorf("%d of %d acknowledged rows are lost: %v", len(lost), tally.Acknowledged, lost)
	}
}

// refusals counts what became of writes that were tried on one node alone.
type refusals struct{ tries, answered, accepted int64 }

// refuses tries to write to one node alone, again and again, until stop is called.
func (s *sites) refuses(node string) (stop func() refusals) {
	cfg := s.application(node)
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	var r refusals
	done := make(chan struct{})
	go func() {
		defer close(done)
		for id := int64(-1); ctx.Err() == nil; id-- {
			r.try(ctx, cfg, id)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() refusals { cancel(); <-done; return r }
}

// try counts as answered only what the server itself refused.
func (r *refusals) try(ctx context.Context, cfg *pgx.ConnConfig, id int64) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r.tries++
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err == nil {
		defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
		_, err = c.Exec(ctx, "INSERT INTO load.writes (id) VALUES ($1)", id)
	}
	if err == nil {
		r.accepted++
	}
	if _, refused := errors.AsType[*pgconn.PgError](err); refused {
		r.answered++
	}
}

// TestTwoClusters deploys to two real clusters by the project's own recipes and
// manifests, switches over and back under load with the bot running as a pod, loses
// the primary's site, fails over, and lets the old primary come back.
func TestTwoClusters(t *testing.T) {
	s := newSites(t)
	s.recipe("secrets")
	s.recipe("setup-replication")
	s.recipe("setup-replication") // again changes nothing
	s.configure(s.outside())
	s.recipe("bot-secrets")
	if out := s.recipe("bot-deploy"); strings.Contains(out, "✗") || !strings.Contains(out, "✓ orders         endpoint") {
		t.Errorf("the doctor, at the end of the recipe, found something")
	}
	s.healthy("dc1")
	s.sample()
	s.write()
	s.must(s.load.Until(s.ctx(), 200))
	s.sameRows()
	s.switchovers()
	s.disaster()
	s.sameRows()
	s.complete()
	s.recipe("status")
	s.wellDoctored() // clients are led right in both clusters, too
}

// wellDoctored runs the recipe that tries everything, from the pods.
func (s *sites) wellDoctored() {
	s.t.Helper()
	if out := s.recipe("doctor"); strings.Contains(out, "✗") || strings.Count(out, "from within its pod, for streaming and for pg_rewind") != 2 {
		s.t.Error("the doctor found something")
	}
}

// switchovers goes from dc1 to dc2, and there and back: an odd number, so that the
// bot's own site isn't the primary's in the end. Before each goes one on this
// machine, of a pair on the same disk: what the clusters cost is the difference.
// The machine does other things besides, so it is told and not asserted.
func (s *sites) switchovers() {
	s.t.Helper()
	here := newWorld(s.t, func(d *demo) { d.disk, d.settings = true, "    after_switchover: degrade\n" })
	here.load.Stop()
	var there, local []time.Duration
	for i, step := range [][2]string{{"dc1", "dc2"}, {"dc2", "dc1"}, {"dc1", "dc2"}} {
		local = append(local, here.oneSwitchover(int64(i+1)*1e9))
		there = append(there, s.oneSwitchover(step[0], step[1]))
	}
	slices.Sort(there)
	slices.Sort(local)
	s.t.Logf("write pause of a planned switchover, longest silence of the writers: here %v, there %v; medians differ by %s", local, there, there[1]-local[1])
	if there[1] > generous {
		s.t.Errorf("between the clusters writes paused for %s", there[1])
	}
}

// generous bounds a write pause on a machine that does anything else besides.
const generous = 30 * time.Second

// oneSwitchover is the writers' longest silence in one between the sites.
func (s *sites) oneSwitchover(from, to string) time.Duration {
	s.t.Helper()
	began := time.Now()
	text := s.decided(func() { s.recipe("failover", "orders", "kernel upgrade on "+from) }, "Switchover of orders: done")
	s.must(s.load.Until(s.ctx(), 50))
	pause := s.load.Pause(began, time.Now())
	s.t.Logf("%s to %s: longest silence %s; posted: %s%s", from, to, pause, regexp.MustCompile(`Writes paused for .*`).FindString(text), pauseSteps(text))
	said := s.kubectl("dc1", "-n", "twokey", "logs", "deployment/bot", "--since-time="+began.UTC().Format(time.RFC3339))
	s.t.Logf("the bot: %s", regexp.MustCompile(`"the gate is passed".*`).FindString(said))
	s.healthy(to)
	return pause
}

// pauseSteps are the times that the bot posts for what lies in the pause.
func pauseSteps(text string) (said string) {
	for _, step := range []string{"stop dc. cleanly", "go on only when", "promote dc.:", "commit a probe row"} {
		if m := regexp.MustCompile(`✓ \d+\. (` + step + `)[^\n]*: ([0-9.]+ m?s)\n`).FindStringSubmatch(text); m != nil {
			said += "; " + strings.TrimSuffix(m[1], ":") + " " + m[2]
		}
	}
	return said
}

// oneSwitchover is the writers' longest silence in one on this machine; their rows
// begin with an id.
func (w *world) oneSwitchover(from int64) time.Duration {
	w.t.Helper()
	w.health(actions.HealthOK)
	cfg, err := pgx.ParseConfig(w.pair.AppURL())
	w.must(err)
	l := load.Start(w.ctx(), load.Options{
		Config: cfg, Table: pgx.Identifier{"load", "writes"}, Sessions: writers, Every: writes, Patience: 20 * time.Second, From: from,
	})
	defer l.Stop()
	w.must(l.Until(w.ctx(), 200))
	began := time.Now()
	before := len(w.slack.Snapshot().Messages(opsChannel))
	_, err = w.slack.Command(w.ctx(), oncall, opsChannel, "/pg", "switchover")
	w.must(err)
	var ts string
	w.must(w.slack.Wait(w.ctx(), func(snap *slacksim.Snapshot) bool {
		for _, m := range snap.Messages(opsChannel)[min(before, len(snap.Messages(opsChannel))):] {
			if strings.Contains(m.Text, "0 of 2 approvals") {
				ts = m.TS
			}
		}
		return ts != ""
	}))
	w.press(dba1, ts, "approve")
	w.press(dba2, ts, "approve")
	w.ended()
	w.must(l.Until(w.ctx(), 50))
	pause, snap := l.Pause(began, time.Now()), w.slack.Snapshot()
	for _, m := range snap.Messages(opsChannel) {
		if m.TS == ts {
			w.t.Logf("on this machine: longest silence %s%s", pause, pauseSteps(snap.Plain(m, time.Now())))
		}
	}
	return pause
}

// disaster cuts the power of the primary's site.
func (s *sites) disaster() {
	s.t.Helper()
	halt, start := os.Getenv(envHalt), os.Getenv(envStart)
	if halt == "" || start == "" {
		s.t.Logf("NOT CHECKED: no site was lost. %s and %s name programs that cut a site's power and switch it on again", envHalt, envStart)
		return
	}
	s.must(s.load.Until(s.ctx(), 200))
	s.t.Cleanup(func() { s.power(start, "dc2") }) // however this ends, and before the sites are cleaned
	cut := time.Now()
	s.power(halt, "dc2")
	s.fake.OnPower(otherInstance, func(power string) { // the machine is dark already; its provider only learns of it
		s.t.Logf("the fake account says: %s", power)
	})
	s.until("the loss is noticed", func(snap *slacksim.Snapshot) bool {
		for _, m := range snap.Messages(opsChannel) {
			if strings.Contains(snap.Plain(m, time.Now()), "dc2 does not answer") {
				return true
			}
		}
		return false
	})
	began := time.Now()
	text := s.decided(func() { s.recipe("failover", "orders", "dc2 is dark") }, "failover of orders: done")
	s.t.Logf("failed over within %s:\n%s", time.Since(began).Round(time.Second), text)
	if s.fake.Power(otherInstance) != vultrfake.Stopped || !strings.Contains(text, "read back 3 times") {
		t := s.t
		t.Errorf("the machine was not fenced: %s", s.fake.Power(otherInstance))
	}
	s.must(s.load.Until(s.long(), 200))
	s.t.Logf("from the cut of the power to the first acknowledged row at dc1, looks and people's votes included: %s", s.load.Pause(cut, time.Now()))
	s.back(start)
}

// back switches the lost site on again: its server must not accept a write, and is
// made a standby.
func (s *sites) back(start string) {
	s.t.Helper()
	stop := s.refuses("dc2")
	since := time.Now()
	s.power(start, "dc2")
	s.awaitGuard("dc2", since)
	s.decided(func() { s.recipe("rejoin", "orders", "dc2 has its power again") }, "is the standby of")
	s.healthy("dc1")
	r := stop()
	s.t.Logf("writes tried on dc2 since its power is back: %d, refused by its server: %d, accepted: %d", r.tries, r.answered, r.accepted)
	if r.accepted > 0 || r.answered == 0 {
		s.t.Errorf("the old primary accepted %d of %d writes, and refused %d", r.accepted, r.tries, r.answered)
	}
}

// awaitGuard waits until the guard has decided what the server may be, after a time.
func (s *sites) awaitGuard(node string, since time.Time) {
	s.t.Helper()
	end := time.Now().Add(5 * time.Minute)
	for {
		out, err := s.run(s.t.Context(), "kubectl", "--kubeconfig", s.file("kube", node), "--request-timeout=10s", "-n", "twokey", "logs", "postgres-0", "-c", "postgres", "--tail=50", "--since-time="+since.UTC().Format(time.RFC3339))
		if i := strings.LastIndex(out, "guard: "); err == nil && i >= 0 {
			s.t.Logf("the guard of %s: %s", node, strings.SplitN(out[i:], "\n", 2)[0])
			return
		}
		if time.Now().After(end) {
			s.diagnose()
			s.t.Fatalf("the guard of %s said nothing: %v %s", node, err, out)
		}
		time.Sleep(time.Second)
	}
}

func (s *sites) power(program, node string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), 5*time.Minute)
	defer cancel()
	out, err := s.run(ctx, program, node)
	s.t.Logf("%s %s: %s", filepath.Base(program), node, out)
	s.must(err)
}
