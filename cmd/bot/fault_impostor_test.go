package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"twokey/actions"
	pairsql "twokey/sql"
)

// impostor streams from whichever node is the primary, under its standby's name
// in another case, and confirms everything as flushed without keeping a byte.
func impostor(ctx context.Context, a *arena) (func(context.Context) error, error) {
	on, err := a.primary(ctx)
	if err != nil {
		return nil, err
	}
	return a.impersonate(ctx, on)
}

// impersonate streams from the node as its partner would.
func (a *arena) impersonate(ctx context.Context, on string) (func(context.Context) error, error) {
	c, end, err := a.pretend(ctx, on, strings.ToUpper(a.pair.Actions().Partner(on).Name))
	if err != nil {
		return nil, fmt.Errorf("the impostor can't connect: %w", err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	done.Go(func() {
		_ = confirmAll(ctx, c, end) // ends with its server or with the fault
		_ = c.Close(context.WithoutCancel(ctx))
	})
	return func(context.Context) error { stop(); done.Wait(); return nil }, nil
}

// pretend begins to stream as a standby of that name would, from the log's end.
func (a *arena) pretend(ctx context.Context, node, name string) (*pgconn.PgConn, actions.LSN, error) {
	cfg, err := pgconn.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, 0, err
	}
	cfg.Host, cfg.Port, cfg.Fallbacks = "127.0.0.1", uint16(a.pair.Node(node).Port), nil
	cfg.User, cfg.Password, cfg.Database = pairsql.ReplicationRole, a.pair.ReplicationPassword.Reveal(), ""
	cfg.RuntimeParams = map[string]string{"replication": "true", "application_name": name}
	c, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, 0, err
	}
	end, err := startStreaming(ctx, c)
	if err != nil {
		return nil, 0, errors.Join(err, c.Close(ctx))
	}
	return c, end, nil
}

func startStreaming(ctx context.Context, c *pgconn.PgConn) (actions.LSN, error) {
	results, err := c.Exec(ctx, "IDENTIFY_SYSTEM").ReadAll()
	if err != nil {
		return 0, err
	}
	row := results[0].Rows[0]
	timeline, err := strconv.Atoi(string(row[1]))
	if err != nil {
		return 0, err
	}
	end, err := actions.ParseLSN(string(row[2]))
	if err != nil {
		return 0, err
	}
	c.Frontend().Send(&pgproto3.Query{String: fmt.Sprintf("START_REPLICATION PHYSICAL %s TIMELINE %d", row[2], timeline)})
	if err := c.Frontend().Flush(); err != nil {
		return 0, err
	}
	for {
		m, err := c.ReceiveMessage(ctx)
		if err != nil {
			return 0, err
		}
		switch m := m.(type) {
		case *pgproto3.CopyBothResponse:
			return end, nil
		case *pgproto3.ErrorResponse:
			return 0, pgconn.ErrorResponseToPgError(m)
		}
	}
}

// confirmAll answers whatever comes with "written, flushed and replayed".
func confirmAll(ctx context.Context, c *pgconn.PgConn, begin actions.LSN) error {
	end := uint64(begin)
	for ctx.Err() == nil {
		turn, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		m, err := c.ReceiveMessage(turn)
		cancel()
		if err != nil && !pgconn.Timeout(err) {
			return err
		}
		if data, ok := m.(*pgproto3.CopyData); ok {
			end = max(end, endOf(data.Data))
		}
		if err := confirm(c, end); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// endOf is up to where the server's message says that its log goes.
func endOf(data []byte) uint64 {
	switch {
	case len(data) >= 25 && data[0] == 'w': // start, end, clock, then the log itself
		return binary.BigEndian.Uint64(data[1:]) + uint64(len(data)-25)
	case len(data) >= 17 && data[0] == 'k': // end, clock, whether an answer is wanted
		return binary.BigEndian.Uint64(data[1:])
	}
	return 0
}

func confirm(c *pgconn.PgConn, end uint64) error {
	status := []byte{'r'}
	for range 3 {
		status = binary.BigEndian.AppendUint64(status, end)
	}
	status = binary.BigEndian.AppendUint64(status, uint64(time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Microseconds()))
	c.Frontend().Send(&pgproto3.CopyData{Data: append(status, 0)})
	err := c.Frontend().Flush()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
