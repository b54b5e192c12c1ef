package deploy_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"twokey/config"
)

// TestRebuildIsRefused where it would stop the primary or copy from nothing, and
// where nobody typed the node's name. A slip of the hand must not be an outage.
func TestRebuildIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, node, answers, typed, want string
	}{
		{"of the primary", "dc1", "", "dc1\n", "dc1 is the primary. Nothing was done"},
		{"beside a standby", "dc2", `*pg_is_in_recovery*) echo t ;;`, "dc2\n", "dc1, which is to be copied, is no primary that answers"},
		{"beside a primary that doesn't answer", "dc2", `*dc1*pg_is_in_recovery*) exit 1 ;;`, "dc2\n", "dc1, which is to be copied, is no primary that answers"},
		{"with another name typed", "dc2", "", "dc1\n", "'dc1' is not 'dc2'. Nothing was done"},
		{"with nobody there", "dc2", "", "", "'' is not 'dc2'. Nothing was done"},
		{"of a node without data", "dc2", `*"test -s"*) exit 1 ;;`, "dc2\n", "just setup-replication fills an empty node"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := newCheckout(t)
			in.clusters(c.answers)
			code, said := in.run(c.typed, "rebuild-standby", c.node)
			if code == 0 || !strings.Contains(said, c.want) {
				t.Errorf("exit code %d, wanted %q:\n%s", code, c.want, said)
			}
			if in.called("touch") || in.called("delete") {
				t.Errorf("it did something: %q", in.calls())
			}
		})
	}
}

func TestRebuildMarksTheFolderAndRestartsItsPodAlone(t *testing.T) {
	t.Parallel()
	in := newCheckout(t)
	in.clusters("")
	code, said := in.run("dc2\n", "rebuild-standby", "dc2")
	if code != 0 || !strings.Contains(said, "every commit on dc1 waits") || !strings.Contains(said, "12 MB") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	mark := slices.IndexFunc(in.calls(), func(call string) bool {
		return strings.Contains(call, "touch /var/lib/postgresql/data/pgdata.rewind-unfinished")
	})
	restart := slices.IndexFunc(in.calls(), func(call string) bool { return strings.Contains(call, "delete pod postgres-0") })
	if mark < 0 || restart < mark {
		t.Errorf("mark %d, restart %d in %q", mark, restart, in.calls())
	}
	for _, call := range in.calls() {
		if strings.Contains(call, "kube/dc1") && (strings.Contains(call, "touch") || strings.Contains(call, "delete")) {
			t.Errorf("the primary was touched: %s", call)
		}
	}
}

func TestRestartIsForTheStandbyAlone(t *testing.T) {
	t.Parallel()
	in := newCheckout(t)
	in.clusters("")
	if code, said := in.run("", "restart-standby", "dc1"); code == 0 || in.called("delete") {
		t.Errorf("the primary: exit code %d:\n%s", code, said)
	}
	if code, said := in.run("", "restart-standby", "dc2"); code != 0 || !in.called("kube/dc2", "delete pod postgres-0") {
		t.Errorf("the standby: exit code %d:\n%s", code, said)
	}
}

// TestSetupLeavesAFencedNodeDown: to set up again must not start what the bot has
// fenced, and must not make a second cluster beside data.
func TestSetupLeavesAFencedNodeDown(t *testing.T) {
	t.Parallel()
	in := newCheckout(t)
	in.program("twokey", "")
	in.clusters(`*dc1*"get statefulset postgres"*) echo 0 ;;`)
	code, said := in.run("", "setup-replication")
	if code == 0 || !strings.Contains(said, "dc1 is scaled to 0: the bot, or somebody, has fenced it") || in.called("delete") || in.called("patch") {
		t.Errorf("exit code %d:\n%s\n%q", code, said, in.calls())
	}
	in = newCheckout(t)
	in.program("twokey", "")
	in.clusters(`*pg_is_in_recovery*) exit 1 ;;`)
	code, said = in.run("", "setup-replication")
	if code == 0 || !strings.Contains(said, "there is data on dc1 dc2, but no primary answers") || in.called("delete") || in.called("patch") {
		t.Errorf("data without a primary: exit code %d:\n%s\n%q", code, said, in.calls())
	}
}

// TestDestroyWantsTheNameTwice, and plans before it asks the second time.
func TestDestroyWantsTheNameTwice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, typed string
		destroyed   bool
	}{
		{"nobody is there", "", false},
		{"another name", "invoices\n", false},
		{"the name once", "orders\n", false},
		{"yes", "orders\nyes\n", false},
		{"as asked", "orders\ndestroy orders\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := newCheckout(t)
			in.program("terraform", `case "$*" in *"output -raw bot_config"*) printf 'pairs:\n  - name: orders\n' ;; esac`)
			in.env = append(in.env, "VULTR_API_KEY=x")
			for _, guard := range []string{"terraform/teardown_override.tf", "terraform/modules/vultr_instance/teardown_override.tf"} {
				in.write(guard, "")
			}
			code, said := in.run(c.typed, "destroy")
			if in.called("apply") != c.destroyed || (code == 0) != c.destroyed {
				t.Errorf("exit code %d, %q:\n%s", code, in.calls(), said)
			}
		})
	}
}

// TestVMAppliesOnlyThePlanThatWasShown.
func TestVMAppliesOnlyThePlanThatWasShown(t *testing.T) {
	t.Parallel()
	for typed, applied := range map[string]bool{"": false, "yes\n": false, "apply\n": true} {
		in := newCheckout(t)
		in.program("terraform", "")
		in.env = append(in.env, "VULTR_API_KEY=x", "TF_VAR_tunnel_private_keys={}")
		in.write("terraform/terraform.tfvars", "")
		code, said := in.run(typed, "vm")
		if in.called("terraform -chdir=terraform apply -input=false", "/plan") != applied || (code == 0) != applied {
			t.Errorf("%q: exit code %d, %q:\n%s", typed, code, in.calls(), said)
		}
		if in.called("auto-approve") {
			t.Error("it approves by itself")
		}
	}
}

// TestFailoverOnlyAsks: what reaches the clusters is one question, to the bot.
func TestFailoverOnlyAsks(t *testing.T) {
	t.Parallel()
	in := newCheckout(t)
	in.clusters(`*"/bot failover"*) echo "approve  https://…/archives/C1/p1" ;;`)
	in.env = append(in.env, "TWOKEY_AS=dba-1")
	code, said := in.run("", "ask", "failover", "orders", "dc1 is on fire; rm -rf")
	if code != 0 || !strings.Contains(said, "https://…/archives/C1/p1") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	last := in.calls()[len(in.calls())-1]
	want := "exec deployment/bot --container bot -- /bot failover orders --as dba-1 --reason dc1 is on fire; rm -rf --config /etc/twokey/twokey.yaml"
	if !strings.HasSuffix(last, want) {
		t.Errorf("asked was %s, want %s", last, want)
	}
	for _, call := range in.calls() {
		for _, harm := range []string{"delete", "patch", "apply", "scale", "psql"} {
			if strings.Contains(call, " "+harm+" ") {
				t.Errorf("it did more than ask: %s", call)
			}
		}
	}
	elsewhere := newCheckout(t)
	elsewhere.program("ssh", "")
	elsewhere.env = append(elsewhere.env, "TWOKEY_AS=dba-1", "TWOKEY_BOT_EXEC=ssh bot-host twokey")
	if code, said := elsewhere.run("", "ask", "rejoin", "orders"); code != 0 || !elsewhere.called("ssh bot-host twokey rejoin orders --as dba-1") {
		t.Errorf("exit code %d, %q:\n%s", code, elsewhere.calls(), said)
	}
}

// TestSecretsAreMadeOnceAndShownToNobody: by a generator, the same on both nodes,
// never an argument, never printed; those that are there stay.
func TestSecretsAreMadeOnceAndShownToNobody(t *testing.T) {
	t.Parallel()
	openssl := tool(t, "openssl", "apt-get install openssl")
	in := newCheckout(t)
	in.must(os.Symlink(openssl, in.path+"/openssl"))
	in.clusters(`*"get secret"*) exit 1 ;;
*"--filename -"*) cat >>"` + in.file("secrets") + `"; echo >>"` + in.file("secrets") + `" ;;`)
	code, said := in.run("", "secrets")
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	text, err := os.ReadFile(in.file("secrets"))
	in.must(err)
	made := map[string][]map[string]string{}
	for line := range strings.Lines(string(text)) {
		var s struct {
			Metadata struct{ Name string }
			Data     map[string]string
		}
		in.must(json.Unmarshal([]byte(line), &s))
		made[s.Metadata.Name] = append(made[s.Metadata.Name], s.Data)
	}
	if len(made["postgres-passwords"]) != 2 || len(made["postgres-tls"]) != 2 || len(made["postgres-ca"]) != 1 {
		t.Fatalf("made: %v", made)
	}
	one, two := made["postgres-passwords"][0], made["postgres-passwords"][1]
	seen := map[string]bool{}
	for _, key := range []string{"superuser", "replication", "bot", "application"} {
		raw, err := base64.StdEncoding.DecodeString(one[key])
		in.must(err)
		if one[key] != two[key] || len(raw) != 48 || seen[one[key]] {
			t.Errorf("%s has %d characters, the same on both: %t, used before: %t", key, len(raw), one[key] == two[key], seen[one[key]])
		}
		seen[one[key]] = true
		for _, call := range append(in.calls(), said) {
			if strings.Contains(call, one[key]) || strings.Contains(call, string(raw)) {
				t.Errorf("%s shows in %s", key, call)
			}
		}
	}
	again := newCheckout(t)
	again.must(os.Symlink(openssl, again.path+"/openssl"))
	again.clusters(`*"get secret"*go-template*) echo c2FtZQ== ;;`)
	if code, said := again.run("", "secrets"); code != 0 || again.called("--filename -") {
		t.Errorf("secrets that are there: exit code %d, %q\n%s", code, again.calls(), said)
	}
	differing := newCheckout(t)
	differing.must(os.Symlink(openssl, differing.path+"/openssl"))
	differing.clusters(`*dc1*"get secret"*go-template*) echo b25l ;;
*dc2*"get secret"*go-template*) echo dHdv ;;`)
	if code, said := differing.run("", "secrets"); code == 0 || !strings.Contains(said, "differ in superuser: nothing was changed") {
		t.Errorf("secrets that differ: exit code %d\n%s", code, said)
	}
}

// TestImagesArePinnedByWhatTheRegistrySays.
func TestImagesArePinnedByWhatTheRegistrySays(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	in := newCheckout(t)
	in.program("crane", "echo "+digest)
	if code, said := in.run("", "pin-images"); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	for file, want := range map[string]string{
		"manifests/base/kustomization.yaml": "\n    newTag: 17.11-trixie\n    digest: " + digest + "\n",
		"Dockerfile":                        "-bookworm@" + digest + "\n",
	} {
		text, err := os.ReadFile(in.file(file))
		in.must(err)
		if !strings.Contains(string(text), want) || strings.Count(string(text), digest) != 1 {
			t.Errorf("%s has no %q:\n%s", file, want, text)
		}
	}
	if code, said := in.run("", "pin-images"); code != 0 { // again, over the digests that are there
		t.Errorf("again: exit code %d:\n%s", code, said)
	}
	lying := newCheckout(t)
	lying.program("crane", "echo latest")
	before, err := os.ReadFile(lying.file("Dockerfile"))
	lying.must(err)
	code, said := lying.run("", "pin-images")
	after, err := os.ReadFile(lying.file("Dockerfile"))
	lying.must(err)
	if code == 0 || !strings.Contains(said, "'latest' is no digest") || string(before) != string(after) {
		t.Errorf("a registry that gives none: exit code %d:\n%s", code, said)
	}
}

// TestBotConfigIsOneThatTheBotTakes: the sample and Terraform's pair together, with
// every secret where the pod has it.
func TestBotConfigIsOneThatTheBotTakes(t *testing.T) {
	t.Parallel()
	in := newCheckout(t)
	in.write("sample", config.Sample())
	in.program("twokey", "cat "+in.file("sample"))
	in.write("pairs", `pairs:
  - name: orders
    database: orders
    endpoint: {kube: {}}
    nodes:
      - {name: dc1, host: 10.99.0.1, port: 30432, password: {file: /run/secrets/twokey/dc1}, driver: {kube: {kubeconfig: /run/secrets/twokey/dc1.kubeconfig}}}
      - {name: dc2, host: 10.99.0.2, port: 30432, password: {file: /run/secrets/twokey/dc2}, driver: {kube: {kubeconfig: /run/secrets/twokey/dc2.kubeconfig}}}
`)
	in.program("terraform", "cat "+in.file("pairs"))
	if code, said := in.run("", "bot-config"); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	text, err := os.ReadFile(in.file("twokey.yaml"))
	in.must(err)
	c, err := config.Parse(text, "twokey.yaml")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if c.Listen != "0.0.0.0:8080" || c.Timeouts.Stop.Std() != time.Minute || len(c.Pairs) != 1 {
		t.Errorf("listen %s, stop %s, %d pairs", c.Listen, c.Timeouts.Stop.Std(), len(c.Pairs))
	}
	_, err = c.Secrets(func(string) (string, bool) { t.Error("a secret is looked for in the environment"); return "", false })
	for _, key := range []string{"slack-token", "slack-signing-secret", "vultr-api-key", "dc1", "dc2"} {
		if err == nil || !strings.Contains(err.Error(), "/run/secrets/twokey/"+key) {
			t.Errorf("%s isn't looked for among the pod's secrets: %v", key, err)
		}
	}
}
