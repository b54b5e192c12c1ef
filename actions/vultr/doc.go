// Package vultr takes the power from an instance, and points a DNS record at a
// node, through Vultr's API.
//
// # What is trusted
//
// Only what was read after the order, and of an instance only its power_status:
// its status stays "active" whether it runs or not. An instance that the
// platform itself works on (server_status "locked", "installingbooting") is
// neither on nor off: its power may change by itself. An answer about another
// instance or record than the one that was asked for is none.
//
// A halted instance stays so until somebody starts it, and anybody with the
// account's key can. So the proof is of this moment, and a server must look at
// its partner before it comes up as a primary.
//
// # How it fails
//
// Every failure is an *[Error] that says what failed, why, and what to do. Each
// request is sent once: the library's own repetition, which repeats orders too,
// is off. What only reads is repeated here; an order is repeated only after a
// look that shows that it is still needed. An order whose answer never came, or
// can't be understood, is an *actions.Uncertain.
//
// The API key is a secret.Text until it is a request's header, and is cut out of
// everything that the API says.
package vultr
