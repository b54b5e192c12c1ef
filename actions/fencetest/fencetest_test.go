package fencetest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"twokey/actions"
	"twokey/actions/fencetest"
	"twokey/actions/kube"
	"twokey/actions/kube/kubefake"
	"twokey/actions/local"
	"twokey/actions/local/sandbox"
	"twokey/actions/vultr"
	"twokey/actions/vultr/vultrfake"
	"twokey/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	key      = "PLANTEDKEY7HUNTER2"
	instance = "cb676a46-66fd-4dfb-b839-443f2e6c0b60"
)

// Every fence, alone and in chains, is one that can be relied on.
func TestFences(t *testing.T) {
	t.Parallel()
	for title, open := range map[string]fencetest.Make{
		"local":                   func(t *testing.T) fencetest.Subject { return ofServer(startServer(t)) },
		"vultr":                   openVultr,
		"kube":                    openKube,
		"chain, kube and vultr":   openKubeChain(false),
		"chain, kube's site lost": openKubeChain(true),
		"chain of one":            openChainOfOne,
		"chain, both there":       openChain(false),
		"chain, first one lost":   openChain(true),
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			fencetest.Run(t, open)
		})
	}
}

// startServer starts a real PostgreSQL server.
func startServer(t *testing.T) *local.Machine {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	pair, err := sandbox.New(ctx, sandbox.Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pair.Close(); err != nil {
			t.Errorf("close the pair: %v", err)
		}
	})
	return pair.Nodes[0].Machine()
}

// ofServer asks the server's processes themselves whether it runs.
func ofServer(m *local.Machine) fencetest.Subject {
	return fencetest.Subject{Fencer: m, Runs: func() bool {
		left, err := m.Server.Processes(context.Background())
		return err != nil || len(left) > 0
	}}
}

// account is a fake account with an instance, reached through a switch.
func account(t *testing.T) (*vultrfake.Server, *vultr.Fence) {
	t.Helper()
	fake := vultrfake.New(key)
	t.Cleanup(fake.Close)
	fake.AddInstance(instance, "dc1", "atl")
	api, err := vultr.New(vultr.Options{Key: secret.New(key), URL: fake.URL, Timeout: 500 * time.Millisecond, Pace: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	fence, err := api.Fence(instance)
	if err != nil {
		t.Fatal(err)
	}
	return fake, fence
}

// cut and mend a fake account's line.
func cut(fake *vultrfake.Server, l vultrfake.Lie) func() {
	return func() {
		for _, op := range []string{vultrfake.GetInstance, vultrfake.Halt} {
			fake.AlwaysLie(op, l)
		}
	}
}

func openVultr(t *testing.T) fencetest.Subject {
	fake, fence := account(t)
	fake.Settle(instance, 50*time.Millisecond)
	return fencetest.Subject{
		Fencer: fence, Secrets: []string{key},
		Runs: func() bool { return fake.Power(instance) == vultrfake.Running },
		Away: cut(fake, vultrfake.Lie{Cut: true}), Back: cut(fake, vultrfake.Lie{}),
	}
}

func openChainOfOne(t *testing.T) fencetest.Subject {
	s := openVultr(t)
	s.Fencer = chain(t, actions.Link{Name: "vultr", Fencer: s.Fencer, Machine: true})
	return s
}

func chain(t *testing.T, links ...actions.Link) *actions.Chain {
	t.Helper()
	c, err := actions.NewChain(links...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// site is a server's own fence, which is lost when the site is.
type site struct {
	*local.Machine

	lost *atomic.Bool
}

var errLost = errors.New("no route to host")

func (s site) Off(ctx context.Context) error {
	if s.lost.Load() {
		return errLost
	}
	return s.Machine.Off(ctx)
}

func (s site) Read(ctx context.Context) (actions.Power, error) {
	if s.lost.Load() {
		return actions.PowerUnknown, errLost
	}
	return s.Machine.Read(ctx)
}

// openChain is a real server on an instance whose power ends it. Lost: its own
// fence can't be reached from the beginning.
func openChain(lost bool) fencetest.Make {
	return func(t *testing.T) fencetest.Subject {
		m := startServer(t)
		fake, fence := account(t)
		fake.OnPower(instance, func(power string) {
			if power == vultrfake.Stopped {
				if err := m.Off(context.Background()); err != nil {
					t.Errorf("the power cut: %v", err)
				}
			}
		})
		server := site{m, &atomic.Bool{}}
		server.lost.Store(lost)
		s := ofServer(m)
		s.Fencer = chain(t, actions.Link{Name: "local", Fencer: server}, actions.Link{Name: "vultr", Fencer: fence, Machine: true})
		s.Secrets = []string{key}
		s.Away = func() { server.lost.Store(true); cut(fake, vultrfake.Lie{Cut: true})() }
		s.Back = func() { server.lost.Store(lost); cut(fake, vultrfake.Lie{})() }
		return s
	}
}

// pod is a real server as the pod of a StatefulSet: the cluster, its API cut or
// mended, and the fence.
func pod(t *testing.T, m *local.Machine) (*kubefake.Server, *kube.Machine) {
	t.Helper()
	fake := kubefake.New()
	t.Cleanup(fake.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	node, err := kubefake.Furnish(ctx, fake.Client(), "twokey", func(_ string, runs bool) {
		if runs {
			return
		}
		if err := m.Server.StopFast(context.Background()); err != nil {
			t.Errorf("the kubelet's order: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Close)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	bot := fake.Token(kubefake.User{Name: "bot", Groups: []string{"system:masters"}}) // what it may do is another test's
	if err := os.WriteFile(path, []byte(fake.Kubeconfig("dc1", bot)), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := kube.Open(kube.Options{Kubeconfig: path, Namespace: "twokey", Timeout: 500 * time.Millisecond, Pace: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	nothing := func(context.Context) actions.Observation { return actions.Observation{Failure: &actions.Failure{}} }
	fence, err := s.Machine(kube.MachineOptions{
		Node: "dc1", StatefulSet: "postgres", Order: "postgres-order", Observe: nothing, Partner: nothing,
		Report: func(context.Context) (actions.GuardReport, error) { return actions.GuardReport{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return fake, fence
}

func openKube(t *testing.T) fencetest.Subject {
	m := startServer(t)
	fake, fence := pod(t, m)
	s := ofServer(m)
	s.Fencer = fence
	s.Away, s.Back = func() { fake.Always("*", kubefake.Fault{Cut: true}) }, func() { fake.Always("*", kubefake.Fault{}) }
	return s
}

// openKubeChain is a real server in a pod, on an instance whose power ends it.
// Lost: the cluster can't be reached from the beginning.
func openKubeChain(lost bool) fencetest.Make {
	return func(t *testing.T) fencetest.Subject {
		m := startServer(t)
		cluster, server := pod(t, m)
		fake, fence := account(t)
		fake.OnPower(instance, func(power string) {
			if power == vultrfake.Stopped {
				if err := m.Off(context.Background()); err != nil {
					t.Errorf("the power cut: %v", err)
				}
			}
		})
		s := ofServer(m)
		s.Fencer = chain(t, actions.Link{Name: "kube", Fencer: server}, actions.Link{Name: "vultr", Fencer: fence, Machine: true})
		s.Secrets = []string{key}
		away := func(is bool) func() {
			return func() {
				cluster.Always("*", kubefake.Fault{Cut: is || lost})
				cut(fake, vultrfake.Lie{Cut: is})()
			}
		}
		s.Away, s.Back = away(true), away(false)
		s.Back()
		return s
	}
}
