package bot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/slack-go/slack"
)

var (
	errNoAnswer   = errors.New("the answer was no answer of this method")
	errNoURL      = errors.New("the delivery has no response URL")
	errForeignURL = errors.New("the response URL doesn't lead to Slack")
)

// failed names the method that err came from, and the deadline if it was one;
// nil stays nil.
func failed(ctx context.Context, method string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("slack %s: %w (%w)", method, err, cause)
	}
	return fmt.Errorf("slack %s: %w", method, err)
}

// apiCode is Slack's error code in err's chain, "" when Slack gave none.
func apiCode(err error) string {
	if e, ok := errors.AsType[slack.SlackErrorResponse](err); ok {
		return e.Err
	}
	return ""
}

// fate is what a failed call means for a message that was to be delivered.
type fate int

const (
	fateUncertain fate = iota // it may be there: look before posting again
	fateNotSent               // it surely isn't there: simply again, later
	fateLimited               // it isn't there, and Slack said when to try again
	fateTooBig                // Slack will never take it in this form
	fateGone                  // what was to be updated isn't there any more
	fateShut                  // no message gets through until people remove the reason
	fateBarred                // this one is refused, for a reason of its own
)

// fateOf classifies err. after is only set for fateLimited.
func fateOf(err error) (f fate, after time.Duration) {
	if limited, ok := errors.AsType[*slack.RateLimitedError](err); ok {
		return fateLimited, limited.RetryAfter
	}
	if code := apiCode(err); code != "" {
		return fateOfCode(code), 0
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && !errors.Is(err, context.DeadlineExceeded) {
		return fateNotSent, 0
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return fateNotSent, 0
	}
	return fateUncertain, 0
}

func fateOfCode(code string) fate {
	switch code {
	case "internal_error", "fatal_error", "service_unavailable", "request_timeout":
		return fateUncertain
	case "ratelimited", "rate_limited", "message_limit_exceeded", "team_added_to_org":
		return fateNotSent
	case "msg_too_long", "msg_blocks_too_long", "invalid_blocks", "invalid_blocks_format", "no_text",
		"metadata_too_large", "invalid_metadata_format", "markdown_text_conflict", "invalid_arguments":
		return fateTooBig
	case "message_not_found", "cant_update_message", "edit_window_closed":
		return fateGone
	case "channel_not_found", "not_in_channel", "is_archived", "token_revoked", "token_expired", "invalid_auth", "not_authed",
		"account_inactive", "missing_scope", "not_allowed_token_type", "no_permission", "restricted_action", "restricted_action_read_only_channel",
		"org_login_required", "ekm_access_denied", "team_access_not_granted", "access_denied", "enterprise_is_restricted", "user_is_restricted":
		return fateShut
	}
	return fateBarred
}

// readsAlone says that a code for which the channel can't be read doesn't keep
// the bot from posting there.
func readsAlone(code string) bool {
	switch code {
	case "missing_scope", "no_permission", "access_denied", "not_allowed_token_type":
		return true
	}
	return false
}

// remedy says what people can do about a code that bars deliveries.
func remedy(code string) string {
	switch code {
	case "":
		return "look at the error: Slack gave no answer that says what is wrong; check this machine's way to it, and its status page"
	case "channel_not_found":
		return "check the channel's id in the configuration; a private channel must have the bot as a member"
	case "not_in_channel":
		return "invite the bot to the channel"
	case "is_archived":
		return "unarchive the channel or configure another one"
	case "token_revoked", "token_expired", "invalid_auth", "not_authed", "account_inactive":
		return "reinstall the app to the workspace and give the bot its new token"
	case "missing_scope":
		return "add the missing scope to the app and reinstall it"
	case "restricted_action", "restricted_action_read_only_channel", "no_permission":
		return "let the app post in this channel (workspace settings)"
	}
	return "look the code up in Slack's documentation of the method"
}
