package terraform_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// cloudConfig is what the rendered user data may hold: reading it is strict, so
// another key is an error here before it is a surprise there.
type cloudConfig struct {
	Hostname         string      `yaml:"hostname"`
	PreserveHostname bool        `yaml:"preserve_hostname"`
	SSHPasswords     *bool       `yaml:"ssh_pwauth"`
	DisableRoot      bool        `yaml:"disable_root"`
	Users            []user      `yaml:"users"`
	PackageUpdate    bool        `yaml:"package_update"`
	PackageUpgrade   bool        `yaml:"package_upgrade"`
	Reboot           *bool       `yaml:"package_reboot_if_required"`
	Packages         []string    `yaml:"packages"`
	Files            []writeFile `yaml:"write_files"`
	RunCmd           [][]string  `yaml:"runcmd"`
}

type user struct {
	Name         string   `yaml:"name"`
	Gecos        string   `yaml:"gecos"`
	Shell        string   `yaml:"shell"`
	Groups       []string `yaml:"groups"`
	Sudo         string   `yaml:"sudo"`
	LockPassword bool     `yaml:"lock_passwd"`
	Keys         []string `yaml:"ssh_authorized_keys"`
}

type writeFile struct {
	Path        string `yaml:"path"`
	Permissions string `yaml:"permissions"`
	Content     string `yaml:"content"`
}

func cloudInit(t *testing.T, text string) cloudConfig {
	t.Helper()
	if !strings.HasPrefix(text, "#cloud-config\n") {
		t.Fatalf("cloud-init takes this for something else: %.30q", text)
	}
	var c cloudConfig
	if err := yaml.UnmarshalWithOptions([]byte(text), &c, yaml.Strict()); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

func (c cloudConfig) file(t *testing.T, path string) writeFile {
	t.Helper()
	for _, f := range c.Files {
		if f.Path == path {
			return f
		}
	}
	t.Fatalf("no file %s", path)
	return writeFile{}
}

func render(t *testing.T, node string, changes ...any) cloudConfig {
	t.Helper()
	return cloudInit(t, deploy(t, changes...).userData(t, node))
}

func TestNobodyHasAPassword(t *testing.T) {
	t.Parallel()
	text := deploy(t).userData(t, "dc1")
	if found := regexp.MustCompile(`(?im)(chpasswd|hashed_passwd|plain_text_passwd|^[\s-]*passw(or)?d:|lock_passwd: false|\$6\$|\$y\$)`).FindString(text); found != "" {
		t.Errorf("cloud-init sets a password: %s", found)
	}
	c := cloudInit(t, text)
	if c.SSHPasswords == nil || *c.SSHPasswords || !c.DisableRoot {
		t.Error("ssh takes a password, or root")
	}
	if len(c.Users) != 1 || !c.Users[0].LockPassword || !slices.Equal(c.Users[0].Keys, []string{sshKey}) || c.Users[0].Name != "ops" {
		t.Errorf("users: %+v", c.Users)
	}
	want := []string{
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "AuthenticationMethods publickey",
		"PermitRootLogin no", "AllowUsers ops", "X11Forwarding no",
	}
	// Of a setting that stands twice sshd takes the first: before cloud-init's own 50-.
	if diff := cmp.Diff(want, lines(c.file(t, "/etc/ssh/sshd_config.d/10-twokey.conf").Content)); diff != "" {
		t.Errorf("sshd (-want +got):\n%s", diff)
	}
}

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

func TestFilesHaveTheModesTheyNeed(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for _, f := range render(t, "dc1").Files {
		got[f.Path] = f.Permissions
	}
	want := map[string]string{
		"/etc/wireguard/wg0.conf": "0600", "/etc/rancher/k3s/config.yaml": "0600",
		"/usr/local/sbin/twokey-k3s": "0755", "/usr/local/sbin/twokey-setup": "0755",
		"/etc/twokey/node.env": "0644", "/etc/twokey/twokey.nft": "0644", "/etc/twokey/tunnel.nft": "0644",
		"/etc/ssh/sshd_config.d/10-twokey.conf": "0644", "/etc/apt/apt.conf.d/20auto-upgrades": "0644", "/etc/apt/apt.conf.d/60twokey": "0644",
		"/etc/sysctl.d/60-twokey-pods.conf":         "0644",
		"/etc/systemd/system/twokey-filter.service": "0644", "/etc/systemd/system/k3s.service.d/10-tunnel.conf": "0644",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modes (-want +got):\n%s", diff)
	}
}

// A node's private key stands in one file that root alone reads, the partner's nowhere.
func TestAPrivateKeyIsOnItsOwnMachineAlone(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	for name, keys := range map[string][2]string{"dc1": {privateDC1, privateDC2}, "dc2": {privateDC2, privateDC1}} {
		text := d.userData(t, name)
		if strings.Count(text, keys[0]) != 1 || strings.Contains(text, keys[1]) {
			t.Errorf("%s: its own key stands there %d times, the partner's %d times", name, strings.Count(text, keys[0]), strings.Count(text, keys[1]))
		}
		if !strings.Contains(cloudInit(t, text).file(t, "/etc/wireguard/wg0.conf").Content, keys[0]) {
			t.Errorf("%s: the key isn't in wg0.conf", name)
		}
	}
	if strings.Contains(d.bot, privateDC1) || strings.Contains(d.bot, privateDC2) {
		t.Error("the bot's configuration holds a private key")
	}
}

func TestTheTunnelJoinsTheSites(t *testing.T) {
	t.Parallel()
	c := render(t, "dc1", "tunnel_peers", object("app1", object("public_key", publicApp, "number", 10, "cidr", "198.51.100.9/32")))
	want := `[Interface]
Address = 10.99.0.1/24
ListenPort = 51820
PrivateKey = ` + privateDC1 + `

# app1
[Peer]
PublicKey = ` + publicApp + `
AllowedIPs = 10.99.0.10/32

# dc2
[Peer]
PublicKey = ` + publicDC2 + `
AllowedIPs = 10.99.0.2/32
Endpoint = 192.0.2.12:51820
PersistentKeepalive = 25
`
	if diff := cmp.Diff(want, c.file(t, "/etc/wireguard/wg0.conf").Content); diff != "" {
		t.Errorf("wg0.conf (-want +got):\n%s", diff)
	}
}

func TestPostgresIsReachedByTheTunnelOnly(t *testing.T) {
	t.Parallel()
	c := render(t, "dc2")
	filter := c.file(t, "/etc/twokey/twokey.nft").Content
	for _, must := range []string{
		`include "/etc/twokey/tunnel.nft"`,
		`iifname != { "lo", "wg0", "cni0" } tcp dport { 5432, 30000-32767 } drop`,
		`iifname != { "lo", "wg0", "cni0" } ip saddr $tunnel drop`,
		`ip daddr 169.254.169.254 drop`,
	} {
		if !strings.Contains(filter, must) {
			t.Errorf("the filter lacks: %s", must)
		}
	}
	if got := c.file(t, "/etc/twokey/tunnel.nft").Content; got != "define tunnel = 10.99.0.0/24\n" {
		t.Errorf("tunnel.nft: %q", got)
	}
	var k3s map[string]any
	if err := yaml.Unmarshal([]byte(c.file(t, "/etc/rancher/k3s/config.yaml").Content), &k3s); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"node-name": "dc2", "node-ip": "10.99.0.2", "node-external-ip": "192.0.2.12", "tls-san": []any{"192.0.2.12", "10.99.0.2"},
		"write-kubeconfig-mode": "0600", "flannel-backend": "host-gw", "disable": []any{"traefik", "servicelb"},
		"kube-proxy-arg": []any{"nodeport-addresses=10.99.0.0/24"},
	}
	if diff := cmp.Diff(want, k3s); diff != "" {
		t.Errorf("k3s (-want +got):\n%s", diff)
	}
}

func TestUpdatesAreForSecurityAndNeverRestartTheMachine(t *testing.T) {
	t.Parallel()
	c := render(t, "dc1")
	if c.Reboot == nil || *c.Reboot || !c.PackageUpdate || !c.PackageUpgrade {
		t.Error("the first start updates, and must not restart the machine")
	}
	want := []string{
		"#clear Unattended-Upgrade::Origins-Pattern;", "Unattended-Upgrade::Origins-Pattern {",
		`  "origin=Debian,codename=${distro_codename}-security,label=Debian-Security";`, "};",
		`Unattended-Upgrade::Automatic-Reboot "false";`,
	}
	// Read after the package's own 50unattended-upgrades, which it overrides.
	if diff := cmp.Diff(want, lines(c.file(t, "/etc/apt/apt.conf.d/60twokey").Content)); diff != "" {
		t.Errorf("60twokey (-want +got):\n%s", diff)
	}
	for _, must := range []string{"unattended-upgrades", "wireguard-tools", "nftables", "curl", "ca-certificates"} {
		if !slices.Contains(c.Packages, must) {
			t.Errorf("packages lack %s", must)
		}
	}
}

// Shut first, then the tunnel, and k3s last, which listens at the tunnel's address.
func TestTheFirstStartGoesInOrder(t *testing.T) {
	t.Parallel()
	c := render(t, "dc1")
	if diff := cmp.Diff([][]string{{"/usr/local/sbin/twokey-setup"}}, c.RunCmd); diff != "" {
		t.Errorf("runcmd (-want +got):\n%s", diff)
	}
	setup := c.file(t, "/usr/local/sbin/twokey-setup").Content
	calls := regexp.MustCompile(`(?m)^(lock_passwords|filter_packets|start_tunnel|start_updates|/usr/local/sbin/twokey-k3s)$`).FindAllString(setup, -1)
	want := []string{"lock_passwords", "filter_packets", "start_tunnel", "start_updates", "/usr/local/sbin/twokey-k3s"}
	if diff := cmp.Diff(want, calls); diff != "" || !strings.Contains(setup, "set -euo pipefail") {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	unit := c.file(t, "/etc/systemd/system/k3s.service.d/10-tunnel.conf").Content
	if !strings.Contains(unit, "After=wg-quick@wg0.service twokey-filter.service") {
		t.Error("at later starts k3s doesn't wait for the tunnel")
	}
}

func TestK3sIsPinnedAndChecked(t *testing.T) {
	t.Parallel()
	zeros, ones := strings.Repeat("0", 64), strings.Repeat("1", 64)
	c := render(t, "dc1", "k3s", object("version", "v1.36.9+k3s1", "binary_sha256", zeros, "install_sha256", ones))
	env := c.file(t, "/etc/twokey/node.env").Content
	want := []string{
		"NODE=dc1", "ADMIN_USER=ops", "TUNNEL_ADDRESS=10.99.0.1", "TUNNEL_PUBLIC_KEY=" + publicDC1,
		"K3S_VERSION=v1.36.9+k3s1", "K3S_BINARY_SHA256=" + zeros, "K3S_INSTALL_SHA256=" + ones,
	}
	if diff := cmp.Diff(want, lines(env)); diff != "" {
		t.Errorf("node.env (-want +got):\n%s", diff)
	}
}

// Small enough for every provider's user data, Vultr's among them.
func TestUserDataStaysSmall(t *testing.T) {
	t.Parallel()
	if n := len(deploy(t).userData(t, "dc1")); n > 16<<10 {
		t.Errorf("user data has %d bytes, more than 16 KiB", n)
	}
}

// Every variable of a template is given, and every one given is used.
func TestTemplatesUseWhatTheyGet(t *testing.T) {
	t.Parallel()
	for name, given := range map[string][]string{
		instance + "/cloud-init.yaml.tftpl": {"admin_user", "k3s", "k3s_script", "name", "packet_filter", "public_address", "setup_script", "ssh_public_keys", "tunnel", "tunnel_prefix"},
		"bot.yaml.tftpl":                    {"endpoint", "nodes", "pair"},
	} {
		if diff := cmp.Diff(given, templateVariables(t, name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
