package kube_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"twokey/actions/kube/kubefake"
)

// real is the real API server of this run, if there is one.
var real struct {
	once  sync.Once
	made  *kubefake.Real
	err   error
	begun bool
}

func TestMain(m *testing.M) {
	code := m.Run()
	if real.made != nil {
		if err := real.made.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "the real API server:", err)
			code = 1
		}
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// realServer starts the real API server, once; nil where none is given.
func realServer() (*kubefake.Real, error) {
	programs := os.Getenv("TWOKEY_KUBE_PROGRAMS")
	if programs == "" {
		return nil, nil
	}
	real.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		real.made, real.err = kubefake.StartReal(ctx, programs)
	})
	return real.made, real.err
}
