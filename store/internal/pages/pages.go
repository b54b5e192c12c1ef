// Package pages reads a bbolt file without mapping it into memory.
//
// bbolt trusts its file: opening one that was cut off or overwritten ends in a
// panic, or in a fault that no program can catch, because a page beyond the
// end of a mapped file can't be read. Check reads the file with plain reads,
// follows every reference that bbolt could follow, and says what is wrong
// before bbolt sees it. It never writes.
//
// It is stricter than bbolt in one point: both header pages must be valid.
// bbolt goes on with the older one when the newer is damaged, which silently
// takes the last transaction back; for a store of votes that is a loss and has
// to be decided by a person.
package pages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrNotBolt means that the file doesn't begin like a bbolt file at all.
var ErrNotBolt = errors.New("it is no bbolt file")

// Visit is called with every key and value in the file; bucket is the path of
// names from the outermost bucket. The slices belong to the check and are
// valid during the call only. An error ends the check.
type Visit func(bucket [][]byte, key, value []byte) error

// The layout of a bbolt file, format version 2, in the machine's byte order.
const (
	headerSize  = 16 // of a page: id, flags, count, overflow
	elementSize = 16 // of a leaf's or a branch's entry
	bucketSize  = 16 // of a bucket's value: root page, sequence
	maxDepth    = 64 // a tree of this depth has more pages than a file can hold

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10

	entryIsBucket = 0x01
	noFreelist    = ^uint64(0)
	longFreelist  = 0xFFFF
)

type checker struct {
	file  io.ReaderAt
	size  int64
	meta  meta
	owner []use // by page id
	visit Visit
}

// use says what a page is known to be.
type use byte

const (
	unclaimed use = iota
	inUse
	free
)

// Check verifies the whole file: both header pages, the list of free pages and
// every page of every bucket, and that each page is either used once or free.
// It returns ErrNotBolt, an error of visit, an error of reading, or what is
// damaged and where.
func Check(file io.ReaderAt, size int64, visit Visit) error {
	m, err := newest(file, size)
	if err != nil {
		return err
	}
	if need := int64(m.pages) * int64(m.pageSize); m.pages > uint64(size)/uint64(m.pageSize) {
		return fmt.Errorf("it is cut off: it has %d bytes and must have %d", size, need)
	}
	c := &checker{file: file, size: size, meta: m, owner: make([]use, m.pages), visit: visit}
	c.owner[0], c.owner[1] = inUse, inUse
	if err := c.freelist(); err != nil {
		return err
	}
	if err := c.tree(m.root, nil, nil, nil, 0); err != nil {
		return err
	}
	return c.complete()
}

func (c *checker) complete() error {
	for id, use := range c.owner {
		if use == unclaimed {
			return fmt.Errorf("page %d is neither used nor free", id)
		}
	}
	return nil
}

// claim marks a page and its overflow pages; nothing may be claimed twice.
func (c *checker) claim(id, overflow uint64, as use) error {
	if id < 2 || id >= c.meta.pages || overflow >= c.meta.pages-id {
		return fmt.Errorf("page %d (and %d more) lies outside of the file's %d pages", id, overflow, c.meta.pages)
	}
	for p := id; p <= id+overflow; p++ {
		if c.owner[p] != unclaimed {
			return fmt.Errorf("page %d is referred to twice", p)
		}
		c.owner[p] = as
	}
	return nil
}

// page reads a page of a known kind, with its overflow pages, and claims it.
func (c *checker) page(id uint64) (page, error) {
	if id < 2 || id >= c.meta.pages {
		return page{}, fmt.Errorf("page %d lies outside of the file's %d pages", id, c.meta.pages)
	}
	size := int64(c.meta.pageSize)
	first := make([]byte, size)
	if err := c.read(first, int64(id)*size); err != nil {
		return page{}, err
	}
	p := parsePage(first)
	if p.id != id {
		return page{}, fmt.Errorf("page %d is overwritten: it calls itself %d", id, p.id)
	}
	if err := c.claim(id, p.overflow, inUse); err != nil || p.overflow == 0 {
		return p, err
	}
	p.data = make([]byte, (int64(p.overflow)+1)*size)
	copy(p.data, first)
	return p, c.read(p.data[size:], (int64(id)+1)*size)
}

func (c *checker) read(into []byte, at int64) error {
	if _, err := c.file.ReadAt(into, at); err != nil {
		return fmt.Errorf("reading %d bytes at %d: %w", len(into), at, err)
	}
	return nil
}

func (c *checker) freelist() error {
	if c.meta.freelist == noFreelist {
		return errors.New("it keeps no list of free pages, so this program didn't write it")
	}
	p, err := c.page(c.meta.freelist)
	if err != nil {
		return err
	}
	if p.flags != flagFreelist {
		return fmt.Errorf("page %d is overwritten: it should list the free pages", p.id)
	}
	ids, err := p.freeIDs()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := c.claim(id, 0, free); err != nil {
			return err
		}
	}
	return nil
}

// page is one page with its overflow.
type page struct {
	id       uint64
	flags    uint16
	count    int
	overflow uint64
	data     []byte
}

func parsePage(raw []byte) page {
	return page{
		id:       binary.NativeEndian.Uint64(raw),
		flags:    binary.NativeEndian.Uint16(raw[8:]),
		count:    int(binary.NativeEndian.Uint16(raw[10:])),
		overflow: uint64(binary.NativeEndian.Uint32(raw[12:])),
		data:     raw,
	}
}

// freeIDs reads a list whose length stands in the header, or, when that is too
// small a place, before the first entry.
func (p page) freeIDs() ([]uint64, error) {
	room := uint64(len(p.data)-headerSize) / 8
	at, n := headerSize, uint64(p.count)
	if p.count == longFreelist {
		n, at, room = binary.NativeEndian.Uint64(p.data[at:]), at+8, room-1
	}
	if n > room {
		return nil, fmt.Errorf("page %d is overwritten: it lists %d free pages and has room for %d", p.id, n, room)
	}
	ids := make([]uint64, n)
	for i := range ids {
		ids[i] = binary.NativeEndian.Uint64(p.data[at+8*i:])
	}
	return ids, nil
}
