package store

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"twokey/actions"
)

// A sample is a byte whose bits say which numbers follow, the two texts with
// their lengths, and the numbers, all as variable-length integers: about 20
// bytes, where JSON takes 90.
const (
	hasWrite = 1 << iota
	hasFlush
	hasReplay
	hasSlot
	hasWaiters
	hasBehind
)

var errSample = errors.New("it ends too early, or goes on too long")

func encodeSample(s actions.Sample) []byte {
	out := []byte{0}
	out = appendText(appendText(out, s.Primary), s.State)
	for _, field := range []struct {
		bit byte
		n   *uint64
	}{{hasWrite, s.Write}, {hasFlush, s.Flush}, {hasReplay, s.Replay}, {hasSlot, s.SlotBytes}} {
		if field.n != nil {
			out[0] |= field.bit
			out = binary.AppendUvarint(out, *field.n)
		}
	}
	if s.Waiters != nil {
		out[0] |= hasWaiters
		out = binary.AppendVarint(out, int64(*s.Waiters))
	}
	if s.Behind != nil {
		out[0] |= hasBehind
		out = binary.AppendUvarint(out, uint64(max(0, s.Behind.Microseconds())))
	}
	return out
}

func appendText(out []byte, s string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(s))), s...)
}

// decodeSample copies everything out of raw.
func decodeSample(raw []byte) (actions.Sample, error) {
	if len(raw) == 0 {
		return actions.Sample{}, errSample
	}
	flags, d := raw[0], decoder{rest: raw[1:]}
	s := actions.Sample{Primary: d.text(), State: d.text()}
	s.Write = d.number(flags & hasWrite)
	s.Flush = d.number(flags & hasFlush)
	s.Replay = d.number(flags & hasReplay)
	s.SlotBytes = d.number(flags & hasSlot)
	if flags&hasWaiters != 0 {
		n, size := binary.Varint(d.rest)
		d.skip(size)
		waiters := int(n)
		s.Waiters = &waiters
	}
	if us := d.number(flags & hasBehind); us != nil {
		behind := time.Duration(min(*us, math.MaxInt64/uint64(time.Microsecond))) * time.Microsecond
		s.Behind = &behind
	}
	if d.failed || len(d.rest) > 0 {
		return actions.Sample{}, errSample
	}
	return s, nil
}

type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) skip(size int) {
	if size <= 0 || size > len(d.rest) {
		d.failed, size = true, len(d.rest)
	}
	d.rest = d.rest[size:]
}

func (d *decoder) number(there byte) *uint64 {
	if there == 0 {
		return nil
	}
	n, size := binary.Uvarint(d.rest)
	d.skip(size)
	return &n
}

func (d *decoder) text() string {
	n, size := binary.Uvarint(d.rest)
	d.skip(size)
	if n == 0 {
		return ""
	}
	if n > uint64(len(d.rest)) {
		d.failed = true
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}
