package faultproxy

import "time"

// Rule is what a proxy does to what passes through it. The zero value passes
// everything on at once.
type Rule struct {
	// Cut resets every connection, those that come later, too.
	Cut bool
	// HoldUp keeps back what clients send, HoldDown what the server sends. Both
	// together are a black hole: it accepts, and says nothing.
	HoldUp, HoldDown bool
	// Delay is how long each piece of up to 4 KiB waits before it is passed on.
	Delay time.Duration
	// ResetAfter resets a connection in the middle of a message: after the server
	// has sent so many bytes more. 0 never does.
	ResetAfter int
}

// Healed passes everything on.
func Healed() Rule { return Rule{} }

// Cut refuses both ways.
func Cut() Rule { return Rule{Cut: true} }

// Hole is a black hole: it accepts, and says nothing.
func Hole() Rule { return Rule{HoldUp: true, HoldDown: true} }

// OneWay lets clients ask, and keeps the server's answers back.
func OneWay() Rule { return Rule{HoldDown: true} }

// Slow delays each piece, both ways.
func Slow(d time.Duration) Rule { return Rule{Delay: d} }

// MidMessage resets each connection after n bytes of the server's.
func MidMessage(n int) Rule { return Rule{ResetAfter: n} }
