package main

import (
	"context"
	"fmt"
	"net"
	"os/user"
	"strconv"
)

type peerKey struct{}

// withPeer notes which account of the system is at the other end of a connection
// over the admin socket.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if uc, ok := c.(*net.UnixConn); ok {
		return context.WithValue(ctx, peerKey{}, peerOf(uc))
	}
	return ctx
}

// peer is that account, in words.
func peer(ctx context.Context) string {
	if who, ok := ctx.Value(peerKey{}).(string); ok {
		return who
	}
	return "an account that the system doesn't name"
}

func accountName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return fmt.Sprintf("%s (uid %s)", u.Username, id)
	}
	return "uid " + id
}
