package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"twokey/secret"
)

// Secrets are the values behind the file's references. It prints as
// placeholders only.
type Secrets struct {
	SlackToken    secret.Text
	SigningSecret secret.Text // none over Socket Mode
	AppToken      secret.Text // none over HTTP
	VultrKey      secret.Text // none without an account
	OTPKey        secret.Text // none without one in the file, as the next
	OTPFormerKey  secret.Text
	passwords     map[[2]string]secret.Text // by pair and node
}

// Password is that of the bot's role on a node; no secret where the node
// uses a password file or a certificate.
func (s Secrets) Password(pair, node string) secret.Text { return s.passwords[[2]string{pair, node}] }

// MissingError names one reference that leads nowhere.
type MissingError struct {
	Key   string // of the configuration
	Place string // what it refers to
	Err   error  // why that can't be used
}

func (m *MissingError) Error() string {
	return fmt.Sprintf("%s: %s %v", m.Key, m.Place, m.Err)
}

func (m *MissingError) Unwrap() error { return m.Err }

// Secrets reads every reference, once, at start; lookup is os.LookupEnv. Files
// that others read later (password files, certificates) are tried as well. The
// error joins a *MissingError for each one that leads nowhere.
func (c Config) Secrets(lookup func(string) (string, bool)) (Secrets, error) {
	r := reader{lookup: lookup}
	out := Secrets{passwords: map[[2]string]secret.Text{}}
	out.SlackToken = r.ref("slack.token", c.Slack.Token)
	out.OTPKey = r.ref("policy.otp_key", c.Policy.OTPKey)
	out.OTPFormerKey = r.ref("policy.otp_former_key", c.Policy.OTPFormerKey)
	if c.Slack.Socket() {
		out.AppToken = r.ref("slack.app_token", c.Slack.AppToken)
	} else {
		out.SigningSecret = r.ref("slack.signing_secret", c.Slack.SigningSecret)
	}
	if c.Vultr != nil {
		out.VultrKey = r.ref("vultr.api_key", c.Vultr.APIKey)
	}
	for i, p := range c.Pairs {
		for j, n := range p.Nodes {
			key := fmt.Sprintf("pairs[%d].nodes[%d]", i, j)
			out.passwords[[2]string{p.Name, n.Name}] = r.ref(key+".password", n.Password)
			r.files(key, n)
		}
	}
	if len(r.missing) > 0 {
		return Secrets{}, errors.Join(r.missing...)
	}
	return out, nil
}

type reader struct {
	lookup  func(string) (string, bool)
	missing []error
}

func (r *reader) ref(key string, ref Ref) secret.Text {
	var value string
	var err error
	switch {
	case ref.Env != "":
		value, err = r.env(ref.Env)
	case ref.File != "":
		value, err = secretFile(ref.File)
	default:
		return secret.Text{}
	}
	if err != nil {
		r.missing = append(r.missing, &MissingError{Key: key, Place: ref.String(), Err: err})
		return secret.Text{}
	}
	return secret.New(value)
}

var (
	errUnset  = errors.New("is not set")
	errEmpty  = errors.New("is empty")
	errLines  = errors.New("holds more than one line")
	errLarge  = errors.New("is too large for a secret")
	errNoFile = errors.New("is no ordinary file")
	errOpen   = errors.New("can be read by other users, and then libpq ignores it: chmod 600")
)

func (r *reader) env(name string) (string, error) {
	value, set := r.lookup(name)
	if !set {
		return "", errUnset
	}
	return oneLine(value)
}

const largestSecret = 64 << 10

func secretFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", readError(err)
	}
	defer func() { _ = f.Close() }() // opened for reading: nothing is lost
	text, err := io.ReadAll(io.LimitReader(f, largestSecret+1))
	if err != nil {
		return "", readError(err)
	}
	if len(text) > largestSecret {
		return "", errLarge
	}
	return oneLine(string(text))
}

// readError keeps the cause and drops the path, which stands before it anyway.
func readError(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		err = p.Err
	}
	return fmt.Errorf("can't be read: %w", err)
}

// oneLine takes the line end that editors and echo leave; blanks inside and at
// the ends may be meant.
func oneLine(value string) (string, error) {
	value = strings.TrimRight(value, "\r\n")
	switch {
	case strings.TrimSpace(value) == "":
		return "", errEmpty
	case strings.ContainsAny(value, "\r\n\x00"):
		return "", errLines
	}
	return value, nil
}

// files tries the files of a node that others will read.
func (r *reader) files(key string, n Node) {
	r.file(key+".passfile", n.Passfile, true)
	r.file(key+".sslrootcert", n.SSLRootCert, false)
	r.file(key+".sslcert", n.SSLCert, false)
	r.file(key+".sslkey", n.SSLKey, true)
	if kube := n.Driver.Kube; kube != nil {
		r.file(key+".driver.kube.kubeconfig", kube.Kubeconfig, false) // mounted from a Secret it is for its group, too
	}
	if local := n.Driver.Local; local != nil {
		r.file(key+".driver.local.replication.passfile", local.Replication.Passfile, true)
		r.file(key+".driver.local.replication.sslrootcert", local.Replication.SSLRootCert, false)
	}
}

func (r *reader) file(key, path string, private bool) {
	if path == "" {
		return
	}
	if err := tryFile(path, private); err != nil {
		r.missing = append(r.missing, &MissingError{Key: key, Place: "file " + path, Err: err})
	}
}

func tryFile(path string, private bool) error {
	info, err := os.Stat(path) // before it is opened: opening a pipe would wait for its other end
	switch {
	case err != nil:
		return readError(err)
	case !info.Mode().IsRegular():
		return errNoFile
	case private && info.Mode().Perm()&0o077 != 0:
		return errOpen
	}
	f, err := os.Open(path)
	if err != nil {
		return readError(err)
	}
	return f.Close()
}
