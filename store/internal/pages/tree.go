package pages

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// entry is one element of a leaf or a branch.
type entry struct {
	key    []byte
	value  []byte // of a leaf
	bucket bool   // of a leaf: the value is a bucket
	child  uint64 // of a branch
}

// tree checks the pages of one bucket below id. All keys must lie in
// [least, below); nil means that there is no bound.
func (c *checker) tree(id uint64, path [][]byte, least, below []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("page %d lies deeper than any bucket can be", id)
	}
	p, err := c.page(id)
	if err != nil {
		return err
	}
	switch p.flags {
	case flagLeaf:
		if p.count == 0 && (len(path) > 0 || depth > 0) { // bbolt keeps an empty bucket in its parent, and removes empty leaves
			return fmt.Errorf("page %d is overwritten: a leaf without entries", id)
		}
		return c.leaf(p, path, least, below, depth)
	case flagBranch:
		return c.branch(p, path, least, below, depth)
	}
	return fmt.Errorf("page %d is overwritten: it has no kind of page (%#x)", id, p.flags)
}

func (c *checker) branch(p page, path [][]byte, least, below []byte, depth int) error {
	entries, err := p.entries(least, below)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return fmt.Errorf("page %d is overwritten: a branch without entries", p.id)
	}
	for i, e := range entries {
		end := below
		if i+1 < len(entries) {
			end = entries[i+1].key
		}
		if err := c.tree(e.child, path, e.key, end, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) leaf(p page, path [][]byte, least, below []byte, depth int) error {
	entries, err := p.entries(least, below)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.bucket {
			err = c.bucket(e, append(slices.Clip(path), e.key), depth)
		} else {
			err = c.visit(path, e.key, e.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bucket checks a nested bucket: one with pages of its own, or a small one
// whose only leaf lies in the value.
func (c *checker) bucket(e entry, path [][]byte, depth int) error {
	if len(e.value) < bucketSize {
		return fmt.Errorf("the bucket %q has %d bytes, too few", e.key, len(e.value))
	}
	if root := binary.NativeEndian.Uint64(e.value); root != 0 {
		return c.tree(root, path, nil, nil, depth+1)
	}
	inline := e.value[bucketSize:]
	if len(inline) < headerSize {
		return fmt.Errorf("the small bucket %q has %d bytes, too few", e.key, len(e.value))
	}
	p := parsePage(inline)
	if p.flags != flagLeaf || p.size() != len(inline) {
		return fmt.Errorf("the small bucket %q is overwritten", e.key)
	}
	return c.leaf(p, path, nil, nil, depth+1)
}

// size is how many bytes a small bucket's leaf should have, -1 when its entries
// make no sense.
func (p page) size() int {
	entries, err := p.entries(nil, nil)
	if err != nil {
		return -1
	}
	n := headerSize + p.count*elementSize
	for _, e := range entries {
		n += len(e.key) + len(e.value)
	}
	return n
}

// entries parses a leaf or a branch. bbolt packs the entries' bytes without a
// gap right behind their headers: whatever is otherwise, such as a count that
// hides entries, is damage. The keys' order is checked as well.
func (p page) entries(least, below []byte) ([]entry, error) {
	at := headerSize + p.count*elementSize // where the next entry's bytes must begin
	if at > len(p.data) {
		return nil, fmt.Errorf("page %d is overwritten: %d entries don't fit into it", p.id, p.count)
	}
	out := make([]entry, p.count)
	for i := range out {
		e, ok := p.entry(i, at)
		if !ok {
			return nil, fmt.Errorf("page %d is overwritten: its entry %d isn't where it must be", p.id, i)
		}
		out[i], at = e, at+len(e.key)+len(e.value)
		wrong := i > 0 && bytes.Compare(out[i-1].key, e.key) >= 0
		if wrong || bytes.Compare(e.key, least) < 0 || (below != nil && bytes.Compare(e.key, below) >= 0) {
			return nil, fmt.Errorf("page %d is overwritten: the keys of its entries are out of order", p.id)
		}
	}
	return out, nil
}

// entry parses the i-th element, whose bytes must begin at the given place;
// the position in it counts from its own start.
func (p page) entry(i, at int) (entry, bool) {
	start := headerSize + i*elementSize
	raw := p.data[start : start+elementSize]
	if p.flags == flagBranch {
		pos, ksize := binary.NativeEndian.Uint32(raw), binary.NativeEndian.Uint32(raw[4:])
		key, ok := p.slice(at, ksize)
		return entry{key: key, child: binary.NativeEndian.Uint64(raw[8:])}, ok && start+int(pos) == at
	}
	flags, pos := binary.NativeEndian.Uint32(raw), binary.NativeEndian.Uint32(raw[4:])
	ksize, vsize := binary.NativeEndian.Uint32(raw[8:]), binary.NativeEndian.Uint32(raw[12:])
	key, ok := p.slice(at, ksize)
	if !ok || flags&^entryIsBucket != 0 || len(key) == 0 || start+int(pos) != at {
		return entry{}, false
	}
	value, ok := p.slice(at+len(key), vsize)
	return entry{key: key, value: value, bucket: flags == entryIsBucket}, ok
}

func (p page) slice(from int, length uint32) ([]byte, bool) {
	if uint64(from)+uint64(length) > uint64(len(p.data)) {
		return nil, false
	}
	to := from + int(length)
	return p.data[from:to:to], true
}
