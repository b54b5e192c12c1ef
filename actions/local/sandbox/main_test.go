package sandbox_test

import (
	"testing"

	"go.uber.org/goleak"

	"twokey/actions/local/janitor"
)

func TestMain(m *testing.M) {
	janitor.MaybeRun()
	goleak.VerifyTestMain(m)
}
