package pages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

const (
	magic         = 0xED0CDAED
	formatVersion = 2
	metaSize      = 64
	checksumAt    = 56
	smallestPage  = 1 << 10
	largestPage   = 16 << 20
)

// meta is one of the two header pages; transactions write them in turn.
type meta struct {
	pageSize uint32
	root     uint64
	freelist uint64
	pages    uint64 // high-water mark: how many pages the file has at least
	txid     uint64
}

// newest reads both header pages and gives that of the last transaction.
func newest(file io.ReaderAt, size int64) (meta, error) {
	first, err := readMeta(file, size, 0, 0)
	if errors.Is(err, ErrNotBolt) && secondMetaSomewhere(file, size) {
		return meta{}, errors.New("the first of its two header pages is overwritten")
	}
	if err != nil {
		return meta{}, err
	}
	second, err := readMeta(file, size, int64(first.pageSize), 1)
	if err != nil {
		return meta{}, fmt.Errorf("the second of its two header pages is damaged (%w)", notForeign(err))
	}
	if second.pageSize != first.pageSize {
		return meta{}, errors.New("its two header pages contradict each other")
	}
	return later(first, second)
}

// later picks the one of the last transaction; their numbers follow each other.
func later(first, second meta) (meta, error) {
	switch {
	case first.txid%2 != 0 || second.txid%2 != 1:
		return meta{}, errors.New("its two header pages are mixed up")
	case first.txid == second.txid+1:
		return first, nil
	case second.txid == first.txid+1:
		return second, nil
	}
	return meta{}, fmt.Errorf("its two header pages are of transactions %d and %d, which don't follow each other", first.txid, second.txid)
}

// notForeign keeps a damaged second header from being taken for a file that
// isn't bbolt's.
func notForeign(err error) error {
	if errors.Is(err, ErrNotBolt) {
		return errors.New("overwritten or cut off")
	}
	return err
}

func readMeta(file io.ReaderAt, size, at int64, id uint64) (meta, error) {
	if size < at+headerSize+metaSize {
		return meta{}, ErrNotBolt
	}
	raw := make([]byte, headerSize+metaSize)
	if _, err := file.ReadAt(raw, at); err != nil {
		return meta{}, fmt.Errorf("reading its header: %w", err)
	}
	head, body := parsePage(raw), raw[headerSize:]
	if binary.NativeEndian.Uint32(body) != magic {
		return meta{}, ErrNotBolt
	}
	if v := binary.NativeEndian.Uint32(body[4:]); v != formatVersion {
		return meta{}, fmt.Errorf("it has bbolt's file format %d instead of %d", v, formatVersion)
	}
	if head.id != id || head.flags != flagMeta || checksum(body) != binary.NativeEndian.Uint64(body[checksumAt:]) {
		return meta{}, errors.New("a header page has a wrong checksum or number")
	}
	return parseMeta(body)
}

func parseMeta(body []byte) (meta, error) {
	m := meta{
		pageSize: binary.NativeEndian.Uint32(body[8:]),
		root:     binary.NativeEndian.Uint64(body[16:]),
		freelist: binary.NativeEndian.Uint64(body[32:]),
		pages:    binary.NativeEndian.Uint64(body[40:]),
		txid:     binary.NativeEndian.Uint64(body[48:]),
	}
	if m.pageSize < smallestPage || m.pageSize > largestPage || m.pageSize&(m.pageSize-1) != 0 || m.pages < 4 {
		return meta{}, fmt.Errorf("a header page makes no sense: %d pages of %d bytes", m.pages, m.pageSize)
	}
	return m, nil
}

func checksum(body []byte) uint64 {
	h := fnv.New64a()
	h.Write(body[:checksumAt])
	return h.Sum64()
}

// secondMetaSomewhere looks for the second header at each page size there is.
func secondMetaSomewhere(file io.ReaderAt, size int64) bool {
	for at := int64(smallestPage); at <= largestPage; at *= 2 {
		if _, err := readMeta(file, size, at, 1); err == nil {
			return true
		}
	}
	return false
}
