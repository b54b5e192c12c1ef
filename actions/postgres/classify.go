package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"twokey/actions"
)

// SQLSTATEs that decide something here.
const (
	stateNotInRecovery  = "55000" // also: asked a primary what only a standby knows
	stateQueryCanceled  = "57014"
	stateAdminShutdown  = "57P01"
	stateCrashShutdown  = "57P02"
	stateCannotConnect  = "57P03"
	stateNoSuchDatabase = "3D000"
	stateNoRight        = "42501"
	stateNoFile         = "58P01"
	stateInternal       = "XX000"
	stateBadParameter   = "22023"
)

// classify says why a look failed. It goes by SQLSTATE and error type.
func classify(err error) *actions.Failure {
	f := &actions.Failure{Reach: reachOf(err), Text: textOf(err)}
	return f
}

func reachOf(err error) actions.Reach {
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		return reachOfState(pg.Code)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, os.ErrDeadlineExceeded):
		return actions.Silent
	case errors.Is(err, errNoTLS), isTLS(err):
		return actions.Denied
	case errors.Is(err, errGarbled):
		return actions.Garbled
	}
	if ne := net.Error(nil); errors.As(err, &ne) {
		if ne.Timeout() {
			return actions.Silent
		}
		return actions.Unreachable
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, errClosed) {
		return actions.Unreachable
	}
	return actions.Garbled
}

func reachOfState(code string) actions.Reach {
	switch {
	case code == stateCannotConnect, code == stateAdminShutdown, code == stateCrashShutdown:
		return actions.Starting
	case code == stateQueryCanceled:
		return actions.Silent
	case strings.HasPrefix(code, "28"), code == stateNoRight, code == stateNoSuchDatabase, strings.HasPrefix(code, "53"):
		return actions.Denied
	}
	return actions.Garbled
}

func isTLS(err error) bool {
	var (
		verify    *tls.CertificateVerificationError
		alert     tls.AlertError
		record    tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	return errors.As(err, &verify) || errors.As(err, &alert) || errors.As(err, &record) ||
		errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid)
}

// textOf is what people read: the server's own message, or the innermost cause.
func textOf(err error) string {
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		return fmt.Sprintf("the server says: %s (SQLSTATE %s)", pg.Message, pg.Code)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return "no answer within the deadline"
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Error()
	}
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
		return dns.Error()
	}
	return err.Error()
}

// effect judges the error of a statement that was handed to a live connection
// and that changes something: uncertain, unless the server refused it. The
// driver's own word that a statement was never sent isn't taken: it gives it
// also for a connection that broke while the answer was awaited.
func effect(err error) error {
	if err == nil {
		return nil
	}
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && !strings.HasPrefix(pg.Code, "57P") {
		return err
	}
	return &actions.Uncertain{Err: err}
}
