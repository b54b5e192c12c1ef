package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"twokey/store"
)

// auditLog is the running bot's audit log.
type auditLog interface {
	AuditEntries(ctx context.Context, seq uint64, limit int) ([]store.AuditEntry, error)
}

const (
	auditType  = "application/jsonl"
	auditBatch = 500 // entries read at once: a reader that is slow must not hold up writers
	// trailerEnd says, behind the last line, how the export ended: "complete", or
	// what went wrong. An export without it was cut off.
	trailerEnd    = "Twokey-Export-End"
	exportedWhole = "complete"
)

// answerAudit exports the entries that follow the one named by after.
func answerAudit(log auditLog) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
		if err != nil {
			http.Error(w, "after must be an entry's number", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", auditType)
		w.Header().Set("Trailer", trailerEnd)
		end := exportedWhole
		if err := exportFrom(r.Context(), log, after, w); err != nil {
			end = strings.Join(strings.Fields(err.Error()), " ")
		}
		w.Header().Set(trailerEnd, end)
	}
}

func exportFrom(ctx context.Context, log auditLog, after uint64, w io.Writer) error {
	for {
		entries, err := log.AuditEntries(ctx, after, auditBatch)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if _, err := w.Write(e.Line()); err != nil {
				return err
			}
			after = e.Seq
		}
		if len(entries) < auditBatch {
			return nil
		}
	}
}

// auditFromBot reads the running bot's log. errNoBot means that none runs.
func auditFromBot(ctx context.Context, socket string, after uint64, visit func(store.AuditEntry) error) error {
	return callBot(ctx, socket, http.MethodGet, "audit?after="+strconv.FormatUint(after, 10), func(resp *http.Response) error {
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != auditType {
			return fmt.Errorf("the running bot answers HTTP %d instead of its audit log; is it of another version?", resp.StatusCode)
		}
		if err := store.ReadAudit(resp.Body, visit); err != nil {
			return err
		}
		switch end := resp.Trailer.Get(trailerEnd); end {
		case exportedWhole:
			return nil
		case "":
			return errors.New("the running bot's answer broke off; ask again")
		default:
			return fmt.Errorf("the running bot could not read its log on: %s", end)
		}
	})
}
