package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"twokey/actions"
)

// GuardReport is what this node's guard has left about its last start; the zero
// value without a guard. A server whose setup is older than the function is an
// error.
func (n *Node) GuardReport(ctx context.Context) (actions.GuardReport, error) {
	var left actions.GuardReport
	err := n.look(ctx, func(s *session) error {
		var text *string
		if err := s.conn.QueryRow(ctx, "SELECT twokey.guard_report()").Scan(&text); err != nil || text == nil {
			return err
		}
		return json.Unmarshal([]byte(*text), &left)
	})
	if err != nil {
		return actions.GuardReport{}, fmt.Errorf("ask %s what its guard has done: %w", n.opt.Node.Name, err)
	}
	return left, nil
}
