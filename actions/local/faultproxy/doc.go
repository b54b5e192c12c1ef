// Package faultproxy forwards TCP connections on loopback and breaks them on
// order, as networks do: so tests can cut one link of a pair while the others
// stay.
//
// A proxy has one rule at a time, and a new rule takes effect on the open
// connections, too. Bytes that a rule holds back are not lost: they arrive when
// a later rule lets them through, as TCP would send them again after an outage.
// A connection that was reset stays so.
package faultproxy
