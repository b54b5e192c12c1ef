package pgbin

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// brewDefault is the major that Homebrew is asked for when any will do.
const brewDefault = 17

// fetchBrew installs PostgreSQL with Homebrew, which belongs to the user and needs no root. The formulas with
// a version in their name are not linked into PATH, so an own choice of the user's stays as it is.
func fetchBrew(ctx context.Context, program, _ string, major int) error {
	if major == 0 {
		major = brewDefault
	}
	cmd := exec.CommandContext(ctx, program, "install", "--quiet", fmt.Sprintf("postgresql@%d", major))
	cmd.Env = append(os.Environ(), "HOMEBREW_NO_AUTO_UPDATE=1", "HOMEBREW_NO_ENV_HINTS=1", "NONINTERACTIVE=1")
	_, err := run(cmd)
	return err
}
