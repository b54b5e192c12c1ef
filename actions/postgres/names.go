package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"twokey/sql"
)

var (
	plainName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]*$`)
	quotedName = regexp.MustCompile(`^"(?:[^"\x00]|"")+"$`)
	firstOne   = regexp.MustCompile(`(?i)^first\s+1\s*\(\s*(\S|\S.*\S)\s*\)$`)
)

// syncNames makes of names what synchronous_standby_names shall be: nothing,
// one name, or FIRST 1 (name). A name that the setting's grammar doesn't take
// as it is, like node-1, gets its quotes. Everything else is refused: with a
// list, ANY or the star a commit may be acknowledged without the one standby.
func syncNames(names string) (string, error) {
	names = strings.TrimSpace(names)
	if names == "" {
		return "", nil
	}
	form, name := "%s", names
	if m := firstOne.FindStringSubmatch(names); m != nil {
		form, name = "FIRST 1 (%s)", m[1]
	}
	quoted, err := syncName(name)
	if err != nil {
		return "", fmt.Errorf("names %q: %w", names, err)
	}
	return fmt.Sprintf(form, quoted), nil
}

func syncName(name string) (string, error) {
	bare := name
	if quotedName.MatchString(name) {
		bare = strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
	}
	switch {
	case bare == "*":
		return "", errors.New("the star lets any standby count")
	case len(bare) > 63:
		return "", errors.New("a name has at most 63 bytes")
	case name != bare:
		return name, nil
	case strings.ContainsAny(name, "\"'(),*\x00 \t\r\n"):
		return "", errors.New("exactly one standby must be named: NAME or FIRST 1 (NAME)")
	case plainName.MatchString(name) && !strings.EqualFold(name, "any") && !strings.EqualFold(name, "first"):
		return name, nil
	}
	return `"` + name + `"`, nil
}

// SetSyncNames sets synchronous_standby_names, on a primary or a standby, and
// returns once the checkpointer has taken it over, which alone makes commits
// wait: before that, every view shows the new names while commits return at
// once. Accepted are "", a name, and FIRST 1 (name).
//
// A new session confirms the reload: it is forked by the postmaster, after that
// one has told all its children. Then two checkpoints: the first may have been
// decided on in the instant before the checkpointer saw the reload; the second
// begins after it has looked again.
func (n *Node) SetSyncNames(ctx context.Context, names string) error {
	want, err := syncNames(names)
	if err != nil {
		return err
	}
	err = n.work(ctx, n.opt.Database, func(c *pgx.Conn) error {
		return run(ctx, c, "ALTER SYSTEM SET synchronous_standby_names = "+sql.Literal(want), "SELECT pg_reload_conf()")
	})
	if err != nil {
		return fmt.Errorf("set synchronous_standby_names on %s: %w", n.opt.Node.Name, err)
	}
	err = every(ctx, confirmEvery, func() (bool, error) { return n.confirmNames(ctx, want) })
	if err != nil {
		return fmt.Errorf("confirm synchronous_standby_names on %s: %w", n.opt.Node.Name, uncertain(err))
	}
	return nil
}

// confirmNames is false while a new session still shows other names.
func (n *Node) confirmNames(ctx context.Context, want string) (bool, error) {
	shown := false
	err := n.work(ctx, n.opt.Database, func(c *pgx.Conn) error {
		var is string
		if err := c.QueryRow(ctx, "SHOW synchronous_standby_names").Scan(&is); err != nil {
			return err
		}
		if shown = is == want; !shown {
			return nil
		}
		return run(ctx, c, "CHECKPOINT", "CHECKPOINT")
	})
	return shown, err
}

// SetSyncedSlots sets synchronized_standby_slots and returns once new sessions
// have it; walsenders take it over with the same reload.
func (n *Node) SetSyncedSlots(ctx context.Context, slots string) error {
	err := n.work(ctx, n.opt.Database, func(c *pgx.Conn) error {
		return run(ctx, c, "ALTER SYSTEM SET synchronized_standby_slots = "+sql.Literal(slots), "SELECT pg_reload_conf()")
	})
	if err != nil {
		return fmt.Errorf("set synchronized_standby_slots on %s: %w", n.opt.Node.Name, err)
	}
	err = every(ctx, confirmEvery, func() (bool, error) {
		var is string
		err := n.work(ctx, n.opt.Database, func(c *pgx.Conn) error {
			return c.QueryRow(ctx, "SHOW synchronized_standby_slots").Scan(&is)
		})
		return is == slots, err
	})
	if err != nil {
		return fmt.Errorf("confirm synchronized_standby_slots on %s: %w", n.opt.Node.Name, uncertain(err))
	}
	return nil
}
