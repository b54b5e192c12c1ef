// Package slacksim is a simulated Slack workspace: the Web API, the signed
// deliveries of commands, interactions and events, Socket Mode, and a web page
// on which people can act. The demo and the tests share it, so what works here
// has met the same limits, error codes and deadlines that Slack enforces.
//
// # What holds state
//
// A [Workspace] keeps everything in memory behind one lock: accounts, channels,
// messages, what only one person sees, open modals, App Homes, files, triggers
// and response URLs. Stored messages and views are never changed in place; an
// edit replaces the value. A [Snapshot] is therefore cheap and never torn.
// [Workspace.Wait] wakes on every change; nothing polls.
//
// # Who acts
//
// The app acts through the Web API (Handler) with the bot token. People act
// through Command, Press, SubmitModal and their kin, or on the page, which
// calls the same functions. Each of them delivers a signed request to the app
// and waits for its acknowledgement for at most three seconds, as Slack does,
// then gives up and shows the person Slack's own words for it.
//
// # How it fails
//
// A delivery that the app doesn't acknowledge is not an error of the method
// that made it: the returned [Delivery] says what happened. Errors are reserved
// for things a person could not have done in Slack at all (a button that isn't
// there, an account that is deactivated). Only events are delivered again by
// themselves, up to three times. The Web API can be told to misbehave with
// [Workspace.Fail]: closed connections, slowness, HTML instead of JSON, rate
// limits, error codes, and answers that get lost after the work was done.
//
// # What it does not imitate
//
// Unfurling, search, reactions, Slack Connect between two workspaces (an
// account may carry another team's id, which is what an app sees of it), and
// scheduled messages. Slash commands may be sent by accounts of another team,
// which Slack itself doesn't offer, so that an app's own check can be tested.
package slacksim
