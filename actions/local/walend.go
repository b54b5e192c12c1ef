package local

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"twokey/actions"
)

// record is one record of the write-ahead log, as pg_waldump prints it.
type record struct {
	start  actions.LSN
	length uint64 // bytes, without the page headers that it crosses
	xid    uint64 // 0 for none
	commit bool
}

var recordPattern = regexp.MustCompile(
	`^rmgr: (\S+)\s+len \(rec/tot\):\s*\d+/\s*(\d+), tx:\s*(\d+), lsn: ([0-9A-F]+/[0-9A-F]+), prev [0-9A-F/]+, desc: (\S+)(?: (\d+):)?`)

func parseRecord(line string) (record, bool) {
	match := recordPattern.FindStringSubmatch(line)
	if match == nil {
		return record{}, false
	}
	length, errLength := strconv.ParseUint(match[2], 10, 64)
	xid, errXid := strconv.ParseUint(match[3], 10, 64)
	start, errStart := actions.ParseLSN(match[4])
	if errors.Join(errLength, errXid, errStart) != nil {
		return record{}, false
	}
	commit := match[1] == "Transaction" && strings.HasPrefix(match[5], "COMMIT")
	if commit && xid == 0 { // of a prepared transaction: its own stands in the description
		if xid, errXid = strconv.ParseUint(match[6], 10, 64); errXid != nil {
			return record{}, false
		}
	}
	return record{start: start, length: length, xid: xid, commit: commit}, true
}

// Sizes of the log's pages and of their headers, the same in all supported versions of PostgreSQL as
// distributions build it.
const (
	pageBytes        = 8192
	pageHeader       = 24
	firstPageHeader  = 40 // of a WAL file
	recordAlignment  = 8
	pageAddressStart = 8 // in the header: the position that the page belongs to
)

// end is where the record ends, which is where the next one may begin.
func (r record) end(segment uint64) actions.LSN {
	at, left := uint64(r.start), r.length
	for {
		if at%pageBytes == 0 {
			at += headerAt(at, segment)
		}
		room := pageBytes - at%pageBytes
		if left <= room {
			at += left
			break
		}
		at, left = at+room, left-room
	}
	return actions.LSN((at + recordAlignment - 1) / recordAlignment * recordAlignment)
}

func headerAt(at, segment uint64) uint64 {
	if at%segment == 0 {
		return firstPageHeader
	}
	return pageHeader
}

// errEndUnclear means that it can't be shown where the log ends: more of it lies behind what can be read.
var errEndUnclear = errors.New("it can't be shown where the write-ahead log ends")

// lastRecord reads the log of a stopped server on one timeline to its end. pg_waldump reports a read error and
// the log's end alike, so the end only counts when nothing behind it looks like a continuation: else
// errEndUnclear.
func (s Server) lastRecord(ctx context.Context, c Control, timeline uint32, from actions.LSN) (record, error) {
	var line string
	err := s.walk(ctx, timeline, from, func(l string) error {
		line = l // there may be millions: only the last is taken apart
		return nil
	})
	if err != nil {
		return record{}, err
	}
	last, ok := parseRecord(line)
	if !ok {
		return record{}, fmt.Errorf("%w: nothing could be read from %s on timeline %d", errEndUnclear, from, timeline)
	}
	return last, s.nothingBehind(last.end(c.SegmentBytes), timeline, c.SegmentBytes)
}

// walk calls visit with pg_waldump's line for each record from a position on.
func (s Server) walk(ctx context.Context, timeline uint32, from actions.LSN, visit func(line string) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := s.command(ctx, "pg_waldump", "--path="+s.file("pg_wal"),
		"--timeline="+strconv.FormatUint(uint64(timeline), 10), "--start="+from.String())
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("read the write-ahead log: %w", err)
	}
	err = visitLines(out, visit)
	if err != nil {
		cancel()
	}
	_ = cmd.Wait() // it fails at every log's end; see lastRecord
	return errors.Join(err, ctx.Err())
}

func visitLines(out io.Reader, visit func(string) error) error {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := visit(line); err != nil {
			return err
		}
	}
}

// nothingBehind checks that no page after the one that holds the end belongs where it lies. WAL files are
// recycled: old pages carry other positions.
func (s Server) nothingBehind(end actions.LSN, timeline uint32, segment uint64) error {
	page := (uint64(end) + pageBytes - 1) / pageBytes * pageBytes
	next := (page + segment - 1) / segment * segment // the head of the next file, if page isn't one
	for at := page; at < next; at += pageBytes {
		if err := s.pageIsOld(at, timeline, segment); err != nil {
			return err
		}
	}
	return s.pageIsOld(next, timeline, segment)
}

func (s Server) pageIsOld(at uint64, timeline uint32, segment uint64) error {
	file, err := os.Open(filepath.Join(s.file("pg_wal"), segmentFile(timeline, at, segment)))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errEndUnclear, err)
	}
	defer func() { _ = file.Close() }()
	address := make([]byte, 8)
	if _, err := file.ReadAt(address, int64(at%segment)+pageAddressStart); err != nil {
		return fmt.Errorf("%w: %w", errEndUnclear, err)
	}
	if binary.NativeEndian.Uint64(address) == at {
		return fmt.Errorf("%w: it seems to go on at %s", errEndUnclear, actions.LSN(at))
	}
	return nil
}
