package kubefake

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Real is a real API server, with its store and the controller of StatefulSets,
// and no node: see [Node].
type Real struct {
	URL   string
	CA    []byte
	Token string // of somebody who may do everything

	dir      string
	programs []*exec.Cmd
	ended    []chan struct{}
}

// StartReal starts one on loopback from the programs etcd, kube-apiserver and
// kube-controller-manager in a folder.
func StartReal(ctx context.Context, programs string) (*Real, error) {
	dir, err := os.MkdirTemp("", "twokey-kube-")
	if err != nil {
		return nil, err
	}
	r := &Real{Token: "admin", dir: dir}
	if err := r.start(ctx, programs); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Real) start(ctx context.Context, programs string) error {
	var ports [3]string
	for i := range ports {
		var err error
		if ports[i], err = freePort(); err != nil {
			return err
		}
	}
	if err := r.files(); err != nil {
		return err
	}
	store := "http://127.0.0.1:" + ports[0]
	r.URL = "https://127.0.0.1:" + ports[2]
	if err := r.run(filepath.Join(programs, "etcd"), "--data-dir="+r.file("etcd"), "--listen-client-urls="+store, "--advertise-client-urls="+store,
		"--listen-peer-urls=http://127.0.0.1:"+ports[1], "--initial-advertise-peer-urls=http://127.0.0.1:"+ports[1],
		"--initial-cluster=default=http://127.0.0.1:"+ports[1], "--unsafe-no-fsync", "--log-level=error"); err != nil {
		return err
	}
	if err := r.run(filepath.Join(programs, "kube-apiserver"), "--etcd-servers="+store, "--bind-address=127.0.0.1", "--secure-port="+ports[2],
		"--cert-dir="+r.file("tls"), "--token-auth-file="+r.file("tokens"), "--authorization-mode=RBAC", "--anonymous-auth=false",
		"--service-account-issuer=https://twokey.invalid", "--service-account-key-file="+r.file("sa.key"), "--service-account-signing-key-file="+r.file("sa.key"),
		"--service-cluster-ip-range=10.0.0.0/24", "--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none"); err != nil {
		return err
	}
	if err := r.await(ctx); err != nil {
		return err
	}
	if err := os.WriteFile(r.file("kubeconfig"), []byte(Kubeconfig(r.URL, r.CA, "real", r.Token)), 0o600); err != nil {
		return err
	}
	return r.run(filepath.Join(programs, "kube-controller-manager"), "--kubeconfig="+r.file("kubeconfig"), "--controllers=statefulset-controller",
		"--leader-elect=false", "--secure-port=0")
}

func (r *Real) file(name string) string { return filepath.Join(r.dir, name) }

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil //nolint:forcetypeassert // it listens on TCP
}

// files are the logins: of one person, and for service accounts.
func (r *Real) files() error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	text, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(r.file("sa.key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: text}), 0o600),
		os.WriteFile(r.file("tokens"), []byte(r.Token+",admin,1,system:masters\n"), 0o600),
	)
}

// run starts a program that ends with this process.
func (r *Real) run(path string, args ...string) error {
	log, err := os.Create(r.file(filepath.Base(path) + ".log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the program has its own
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, r.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // ended by Close
	}()
	r.programs, r.ended = append(r.programs, cmd), append(r.ended, ended)
	return nil
}

// await waits until the API server serves.
func (r *Real) await(ctx context.Context) error {
	for {
		ca, err := os.ReadFile(filepath.Join(r.file("tls"), "apiserver.crt"))
		if err == nil {
			c := NewClient(r.URL, ca, r.Token, nil)
			status, _, derr := c.Do(ctx, "GET", "/readyz", nil, nil)
			c.Close()
			if r.CA = ca; derr == nil && status == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%d, %w", status, derr)
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(r.file("kube-apiserver.log"))
			return fmt.Errorf("the API server doesn't come up: %w\n%s", err, text[max(0, len(text)-2000):])
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Close ends the programs, the last one first, and removes what they wrote.
func (r *Real) Close() error {
	for i, cmd := range slices.Backward(r.programs) {
		_ = cmd.Process.Kill() // it may have ended
		<-r.ended[i]
	}
	return os.RemoveAll(r.dir)
}
