package terraform_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func templateVariables(t *testing.T, name string) []string {
	t.Helper()
	parsed, diags := hclsyntax.ParseTemplate([]byte(read(t, name)), name, hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var out []string
	for _, ref := range parsed.Variables() {
		out = append(out, ref.RootName())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// tool finds a program that go test doesn't need. Without it the test says what
// it leaves out; where all must run (TWOKEY_CI=1) it fails.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case os.Getenv("TWOKEY_CI") != "":
		t.Fatalf("there is no %s: apt-get install %s", name, name)
	default:
		t.Logf("NOT CHECKED: there is no %s here (apt-get install %s); CI has it", name, name)
	}
	return ""
}

// scripts writes those of a rendered cloud-init as they would stand on the machine.
func scripts(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, f := range render(t, "dc1").Files {
		if strings.HasPrefix(f.Content, "#!") {
			path := filepath.Join(t.TempDir(), filepath.Base(f.Path))
			if err := os.WriteFile(path, []byte(f.Content), 0o755); err != nil {
				t.Fatal(err)
			}
			out[f.Path] = path
		}
	}
	if len(out) != 2 {
		t.Fatalf("found scripts %v", out)
	}
	return out
}

func TestScriptsAreOnTheMachineAsTheyAreHere(t *testing.T) {
	t.Parallel()
	for on, path := range scripts(t) {
		if read(t, path) != read(t, instance, "files", filepath.Base(on)) {
			t.Errorf("%s was changed by the template", on)
		}
	}
}

func TestScriptsParse(t *testing.T) {
	t.Parallel()
	bash := tool(t, "bash")
	for on, path := range scripts(t) {
		if bash == "" {
			break
		}
		if out, err := exec.Command(bash, "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", on, err, out)
		}
	}
}

func TestScriptsPassShellcheck(t *testing.T) {
	t.Parallel()
	shellcheck := tool(t, "shellcheck")
	for on, path := range scripts(t) {
		if shellcheck == "" {
			break
		}
		if out, err := exec.Command(shellcheck, path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", on, err, out)
		}
	}
}

// machine is a folder in the place of a machine's: the script runs as it is but
// for its paths; downloads come from the folder served.
type machine struct {
	t                   *testing.T
	dir                 string
	binary, installer   string // what is served
	wantBin, wantScript string // checksums in node.env
}

const (
	k3sProgram = "#!/bin/sh\nexit 0\n"
	installer  = "#!/bin/sh\necho \"$INSTALL_K3S_SKIP_DOWNLOAD|$INSTALL_K3S_EXEC\" >>\"$MACHINE/installed\"\n"
)

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir(), binary: k3sProgram, installer: installer, wantBin: sum(k3sProgram), wantScript: sum(installer)}
	m.put("bin/curl", `#!/bin/bash
echo "${@: -1}" >>"$MACHINE/fetched"
while [ "$1" != --output ]; do shift; done
case $3 in */k3s) cp "$MACHINE/served-k3s" "$2" ;; */install.sh) cp "$MACHINE/served-installer" "$2" ;; *) exit 22 ;; esac
`)
	m.put("bin/uname", "#!/bin/sh\necho x86_64\n")
	m.put("bin/install", "#!/bin/bash\ncp \"${@: -2:1}\" \"${@: -1}\" && chmod 755 \"${@: -1}\"\n") // nobody but root gives files to root
	return m
}

func sum(text string) string {
	of := sha256.Sum256([]byte(text))
	return hex.EncodeToString(of[:])
}

func (m *machine) put(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) has(name string) string {
	text, err := os.ReadFile(filepath.Join(m.dir, name))
	if err != nil {
		return ""
	}
	return string(text)
}

// install runs twokey-k3s and returns what it said.
func (m *machine) install() (string, error) {
	m.t.Helper()
	m.put("served-k3s", m.binary)
	m.put("served-installer", m.installer)
	m.put("etc/node.env", "K3S_VERSION=v1.36.5+k3s1\nK3S_BINARY_SHA256="+m.wantBin+"\nK3S_INSTALL_SHA256="+m.wantScript+"\n")
	m.put("twokey-k3s", strings.NewReplacer("/etc/twokey", m.dir+"/etc", "/usr/local/bin", m.dir+"/bin").
		Replace(read(m.t, instance, "files", "twokey-k3s")))
	cmd := exec.Command("bash", filepath.Join(m.dir, "twokey-k3s"))
	cmd.Env = append(os.Environ(), "PATH="+m.dir+"/bin:"+os.Getenv("PATH"), "MACHINE="+m.dir, "TMPDIR="+m.dir)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestK3sIsInstalledOnceItIsWhatWasPinned(t *testing.T) {
	t.Parallel()
	if tool(t, "bash") == "" {
		return
	}
	m := newMachine(t)
	if out, err := m.install(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if m.has("bin/k3s") != k3sProgram || m.has("installed") != "true|server --secrets-encryption\n" {
		t.Errorf("k3s: %q, the install script ran with %q", m.has("bin/k3s"), m.has("installed"))
	}
	want := "https://raw.githubusercontent.com/k3s-io/k3s/v1.36.5%2Bk3s1/install.sh\nhttps://github.com/k3s-io/k3s/releases/download/v1.36.5%2Bk3s1/k3s\n"
	if got := m.has("fetched"); got != want {
		t.Errorf("fetched:\n%s", got)
	}
	if out, err := m.install(); err != nil {
		t.Fatalf("again: %v: %s", err, out)
	}
	if n := strings.Count(m.has("fetched"), "/download/"); n != 1 {
		t.Errorf("the binary that is there was fetched %d times", n)
	}
	if left, _ := filepath.Glob(filepath.Join(m.dir, "tmp.*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWhatIsNotThePinnedK3sIsNotInstalled(t *testing.T) {
	t.Parallel()
	if tool(t, "bash") == "" {
		return
	}
	for name, c := range map[string]struct {
		change func(*machine)
		says   string
	}{
		"another binary":         {func(m *machine) { m.binary += "# and more\n" }, "Nothing was installed"},
		"another install script": {func(m *machine) { m.installer += "# and more\n" }, "Nothing was installed"},
		"an empty answer":        {func(m *machine) { m.binary = "" }, "Nothing was installed"},
		"no checksum":            {func(m *machine) { m.wantBin = "" }, "Nothing was installed"},
		"no answer":              {func(m *machine) { m.put("bin/curl", "#!/bin/sh\nexit 22\n") }, "failed"},
		"another architecture":   {func(m *machine) { m.put("bin/uname", "#!/bin/sh\necho aarch64\n") }, "this machine is aarch64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			c.change(m)
			out, err := m.install()
			if err == nil || !strings.Contains(out, c.says) {
				t.Errorf("%v: %s", err, out)
			}
			if m.has("bin/k3s") != "" || m.has("installed") != "" {
				t.Errorf("installed all the same: %q, %q", m.has("bin/k3s"), m.has("installed"))
			}
		})
	}
}
