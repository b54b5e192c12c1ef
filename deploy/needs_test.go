package deploy_test

import (
	"strings"
	"testing"
)

// TestWhatIsMissingIsSaid: each script looks for what it needs before it does
// anything, and names it with where it comes from or what makes it.
func TestWhatIsMissingIsSaid(t *testing.T) {
	t.Parallel()
	const noKubectl = "missing: kubectl (https://kubernetes.io/docs/tasks/tools)"
	for _, c := range []struct {
		name   string
		script []string
		given  func(*checkout)
		want   string
	}{
		{"setup-replication without kubectl", []string{"setup-replication"}, nil, "missing: kubectl (https://kubernetes.io/docs/tasks/tools) twokey"},
		{"secrets without its programs", []string{"secrets"}, nil, "missing: kubectl (https://kubernetes.io/docs/tasks/tools) openssl (Debian: openssl)"},
		{"status without kubectl", []string{"status"}, nil, noKubectl},
		{"connect without kubectl", []string{"connect", "dc1"}, nil, noKubectl},
		{"exec-psql without kubectl", []string{"exec-psql", "dc1", "SELECT 1"}, nil, noKubectl},
		{"logs without kubectl", []string{"logs", "dc1"}, nil, noKubectl},
		{"rebuild-standby without kubectl", []string{"rebuild-standby", "dc2"}, nil, noKubectl},
		{"restart-standby without kubectl", []string{"restart-standby", "dc2"}, nil, noKubectl},
		{"verify-data without kubectl", []string{"bot", "verify-data"}, nil, noKubectl},
		{"bot-secrets without kubectl", []string{"bot-secrets"}, nil, noKubectl},
		{"bot-deploy without kubectl", []string{"bot-deploy"}, nil, "missing: kubectl"},
		{"validate without kubectl", []string{"validate"}, nil, "missing: kubectl"},
		{"vm without terraform", []string{"vm"}, nil, "missing: terraform (https://developer.hashicorp.com/terraform/install)"},
		{"destroy without terraform", []string{"destroy"}, nil, "missing: terraform"},
		{"tftest without terraform", []string{"tftest"}, nil, "missing: terraform"},
		{"bot-config without terraform", []string{"bot-config"}, nil, "missing: terraform"},
		{"kubeconfig without ssh", []string{"kubeconfig", "dc1"}, nil, "missing: ssh (Debian: openssh-client)"},
		{"image without go", []string{"image"}, nil, "missing: go (https://go.dev/dl, the version that go.mod names)"},
		{"test without go", []string{"run", "go", "--", "go", "test"}, nil, "missing: go"},
		{"pg17 without apt", []string{"pg17"}, nil, "missing: apt-get"},
		{"fmt without just", []string{"fmt"}, nil, "missing: go"},
		{"pin-images without anything that asks a registry", []string{"pin-images"}, nil, "missing: crane, skopeo or docker with buildx"},
		{"e2e without its programs", []string{"e2e"}, nil, "missing: go (https://go.dev/dl, the version that go.mod names) just (Debian: just) kubectl"},

		{"connect to no node", []string{"connect", "dc9"}, nil, "'dc9' is no node; there are: dc1 dc2 (TWOKEY_NODES)"},
		{"logs of nobody", []string{"logs"}, nil, "'' is no node"},
		{"setup-replication of three", []string{"setup-replication"}, func(c *checkout) {
			c.clusters("")
			c.program("twokey", "")
			c.env = append(c.env, "TWOKEY_NODES=dc1 dc2 dc3")
		}, "TWOKEY_NODES must name the pair's two nodes"},
		{"setup-replication without a kubeconfig", []string{"setup-replication"}, func(c *checkout) {
			c.program("kubectl", "")
			c.program("twokey", "")
		}, "kube/dc1: just kubeconfig dc1 makes it"},
		{"setup-replication without an overlay", []string{"setup-replication"}, func(c *checkout) {
			c.clusters("")
			c.program("twokey", "")
			c.env = append(c.env, "TWOKEY_NODES=dc1 dc7")
		}, "there is no overlay manifests/dc7/kustomization.yaml"},
		{"setup-replication where a cluster doesn't answer", []string{"setup-replication"}, func(c *checkout) {
			c.clusters(`*/readyz*) exit 1 ;;`)
			c.program("twokey", "")
		}, "kube/dc1 doesn't answer"},
		{"setup-replication before secrets", []string{"setup-replication"}, func(c *checkout) {
			c.clusters(`*"get secret"*) exit 1 ;;`)
			c.program("twokey", "")
		}, "dc1 has no Secret postgres-passwords: run just secrets first"},
		{"bot-secrets before secrets", []string{"bot-secrets"}, func(c *checkout) { c.clusters(`*"get secret"*) exit 1 ;;`) }, "run just secrets first"},
		{"bot-deploy without a configuration", []string{"bot-deploy"}, func(c *checkout) {
			c.clusters("")
			c.program("twokey", "")
		}, "there is no twokey.yaml: just bot-config begins it"},
		{"bot-deploy before bot-secrets", []string{"bot-deploy"}, func(c *checkout) {
			c.clusters(`*"get secret twokey-secrets"*) exit 1 ;;`)
			c.program("twokey", "")
			c.write("twokey.yaml", "x")
		}, "run just bot-secrets first"},
		{"bot-deploy with a bad configuration", []string{"bot-deploy"}, func(c *checkout) {
			c.clusters("")
			c.program("twokey", "echo 'line 3: unknown key'; exit 1")
			c.write("twokey.yaml", "x")
		}, "line 3: unknown key"},
		{"a failover without a name", []string{"ask", "failover", "orders"}, nil, "Set TWOKEY_AS to your name among the approvers"},
		{"a failover without a bot", []string{"ask", "failover", "orders"}, func(c *checkout) {
			c.clusters(`*"get deployment bot"*) exit 1 ;;`)
			c.env = append(c.env, "TWOKEY_AS=dba-1")
		}, "just bot-deploy brings it there, or TWOKEY_BOT_EXEC says how it is reached"},
		{"kubeconfig of nobody", []string{"kubeconfig", "dc9"}, nil, "'dc9' is no node"},
		{"vm without a key", []string{"vm"}, func(c *checkout) { c.program("terraform", "") }, "VULTR_API_KEY is not set"},
		{"vm without values", []string{"vm"}, func(c *checkout) {
			c.program("terraform", "")
			c.env = append(c.env, "VULTR_API_KEY=x")
		}, "copy terraform.tfvars.example there"},
		{"vm without the tunnel's keys", []string{"vm"}, func(c *checkout) {
			c.program("terraform", "")
			c.env = append(c.env, "VULTR_API_KEY=x")
			c.write("terraform/terraform.tfvars", "")
		}, "export TF_VAR_tunnel_private_keys"},
		{"destroy with its guards on", []string{"destroy"}, func(c *checkout) {
			c.program("terraform", "")
			c.env = append(c.env, "VULTR_API_KEY=x")
		}, "terraform/teardown_override.tf is missing. terraform/README.md, Teardown"},
		{"image-load without an image", []string{"image-load", "dc1"}, nil, "there is no twokey.tar: just image makes it"},
		{"kubeconfig of an unknown machine", []string{"kubeconfig", "dc1"}, func(c *checkout) {
			c.program("ssh", "")
			c.program("terraform", "")
		}, "set TWOKEY_SSH=ops@ADDRESS"},
		{"e2e on one cluster", []string{"e2e"}, func(c *checkout) {
			for _, name := range []string{"go", "just", "kubectl", "openssl"} {
				c.program(name, "")
			}
			c.env = append(c.env, "TWOKEY_KUBECONFIGS=dc1.yaml")
		}, "TWOKEY_KUBECONFIGS=dc1.yaml:dc2.yaml names two kubeconfigs"},
		{"e2e on a cluster that doesn't answer", []string{"e2e"}, func(c *checkout) {
			for _, name := range []string{"go", "just", "openssl"} {
				c.program(name, "")
			}
			c.clusters(`*/readyz*) exit 1 ;;`)
			c.env = append(c.env, "TWOKEY_KUBECONFIGS=kube/dc1:kube/dc2")
		}, "the cluster of kube/dc1 doesn't answer"},
		{"bot-config over one that is there", []string{"bot-config"}, func(c *checkout) {
			c.program("terraform", "")
			c.program("twokey", "")
			c.write("twokey.yaml", "mine")
		}, "twokey.yaml is there already"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := newCheckout(t)
			if c.given != nil {
				c.given(in)
			}
			code, said := in.run("", c.script...)
			if code == 0 || !strings.Contains(said, c.want) {
				t.Errorf("exit code %d, wanted the words %q:\n%s", code, c.want, said)
			}
			for _, call := range in.calls() {
				for _, harm := range []string{"apply", "delete", "patch", "touch", "destroy"} {
					if strings.Contains(call, harm) && !strings.Contains(call, "manifests/namespace") {
						t.Errorf("it did something all the same: %s", call)
					}
				}
			}
		})
	}
}
