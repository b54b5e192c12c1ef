package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"go.etcd.io/bbolt"
)

// Every value ends with a CRC-32C of its key (with the names of the buckets
// around it, except the outermost) and itself: bbolt checks no content, and a value that lies in overflow pages has
// no structure of its own that noise would break.
const sealSize = 4

func seal(key, payload []byte) []byte {
	out := make([]byte, len(payload), len(payload)+sealSize)
	copy(out, payload)
	return binary.BigEndian.AppendUint32(out, sum(key, payload))
}

func unseal(key, value []byte) ([]byte, error) {
	end := len(value) - sealSize
	if end < 0 || sum(key, value[:end]) != binary.BigEndian.Uint32(value[end:]) {
		return nil, fmt.Errorf("the value of %q has a wrong checksum", key)
	}
	return value[:end], nil
}

func sum(key, payload []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(key, table), table, payload)
}

func put(b *bbolt.Bucket, key, payload []byte) error {
	if err := b.Put(key, seal(key, payload)); err != nil {
		return fmt.Errorf("storing %q: %w", key, err)
	}
	return nil
}

// get gives a payload that is valid within the transaction only, nil when the
// key isn't there.
func get(b *bbolt.Bucket, key []byte) ([]byte, error) {
	value := b.Get(key)
	if value == nil {
		return nil, nil
	}
	payload, err := unseal(key, value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return payload, nil
}

func putJSON(b *bbolt.Bucket, key []byte, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("storing %q: %w", key, err)
	}
	return put(b, key, raw)
}

// getJSON decodes into v, which then shares nothing with the transaction.
func getJSON(b *bbolt.Bucket, key []byte, v any) (found bool, err error) {
	raw, err := get(b, key)
	if raw == nil || err != nil {
		return false, err
	}
	return true, decode(key, raw, v)
}

func decode(key, raw []byte, v any) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%w: the value of %q can't be read: %w", ErrDamaged, key, err)
	}
	return nil
}

// name checks what is about to become a key or a part of one.
func name(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("the %s is empty", what)
	case len(s) > maxName:
		return fmt.Errorf("the %s has %d bytes; at most %d can be stored", what, len(s), maxName)
	case strings.IndexByte(s, 0) >= 0:
		return errors.New("the " + what + " holds a zero byte")
	}
	return nil
}

const maxName = 1024

// under is the key of something below a name.
func under(s string, rest ...byte) []byte {
	key := append(make([]byte, 0, len(s)+1+len(rest)), s...)
	return append(append(key, 0), rest...)
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func parseNumber(raw []byte) (uint64, error) {
	if len(raw) != 8 {
		return 0, fmt.Errorf("%w: a number of %d bytes", ErrDamaged, len(raw))
	}
	return binary.BigEndian.Uint64(raw), nil
}
