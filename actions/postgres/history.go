package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"twokey/actions"
)

// Forks gives where each timeline up to this one began, oldest first, as the
// server's own history file says. The first timeline has no parent: no forks.
func (n *Node) Forks(ctx context.Context, timeline uint32) ([]actions.Fork, error) {
	if timeline <= 1 {
		return nil, nil
	}
	var file *string
	err := n.look(ctx, func(s *session) error {
		return s.conn.QueryRow(ctx, "SELECT twokey.timeline_history($1)", int64(timeline)).Scan(&file)
	})
	if err != nil {
		return nil, fmt.Errorf("read the history of timeline %d on %s: %w", timeline, n.opt.Node.Name, err)
	}
	if file == nil {
		return nil, fmt.Errorf("%s has no history file of timeline %d", n.opt.Node.Name, timeline)
	}
	forks, err := parseHistory(*file)
	if err != nil {
		return nil, fmt.Errorf("history file of timeline %d on %s: %w", timeline, n.opt.Node.Name, err)
	}
	if last := forks[len(forks)-1].Parent; last >= timeline {
		return nil, fmt.Errorf("history file of timeline %d on %s: it names timeline %d as its parent", timeline, n.opt.Node.Name, last)
	}
	return forks, nil
}

// parseHistory reads a timeline history file: a line for each ancestor, with
// its number, where it was left, and a reason, separated by white space; blank
// lines and those with # are comments. Numbers must rise and positions must
// not fall, and one line is the least, as PostgreSQL itself demands.
func parseHistory(file string) ([]actions.Fork, error) {
	var forks []actions.Fork
	for i, line := range strings.Split(file, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		f, err := parseFork(fields)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if len(forks) > 0 && (f.Parent <= forks[len(forks)-1].Parent || f.At < forks[len(forks)-1].At) {
			return nil, fmt.Errorf("line %d: timeline %d at %s comes after timeline %d at %s", i+1,
				f.Parent, f.At, forks[len(forks)-1].Parent, forks[len(forks)-1].At)
		}
		forks = append(forks, f)
	}
	if len(forks) == 0 {
		return nil, fmt.Errorf("it names no timeline")
	}
	return forks, nil
}

func parseFork(fields []string) (actions.Fork, error) {
	if len(fields) < 2 {
		return actions.Fork{}, fmt.Errorf("%q has no position", fields[0])
	}
	parent, err := strconv.ParseUint(fields[0], 10, 32)
	if err != nil || parent == 0 {
		return actions.Fork{}, fmt.Errorf("%q is no timeline", fields[0])
	}
	at, err := actions.ParseLSN(fields[1])
	if err != nil {
		return actions.Fork{}, err
	}
	return actions.Fork{Parent: uint32(parent), At: at}, nil
}
