package local

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"

	"twokey/actions"
)

var segmentPattern = regexp.MustCompile(`^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})$`)

// walFiles are the timelines and positions of the files in a server's pg_wal.
type walFiles map[uint32][]actions.LSN

func (s Server) walFiles(c Control) (walFiles, error) {
	entries, err := os.ReadDir(s.file("pg_wal"))
	if err != nil {
		return nil, err
	}
	files := walFiles{}
	for _, entry := range entries {
		match := segmentPattern.FindStringSubmatch(entry.Name())
		if match == nil {
			continue
		}
		var number [3]uint64
		for i := range number {
			number[i], _ = strconv.ParseUint(match[i+1], 16, 32) // the pattern admits nothing else
		}
		timeline := uint32(number[0])
		files[timeline] = append(files[timeline], actions.LSN(number[1]<<32+number[2]*c.SegmentBytes))
	}
	return files, nil
}

// newest is 0 when there are no files.
func (w walFiles) newest() uint32 { return w.newestBelow(^uint32(0)) }

func (w walFiles) newestBelow(limit uint32) uint32 {
	var newest uint32
	for timeline := range w {
		if timeline < limit {
			newest = max(newest, timeline)
		}
	}
	return newest
}

// first is the position of a timeline's first file.
func (w walFiles) first(timeline uint32) actions.LSN {
	first := ^actions.LSN(0)
	for _, at := range w[timeline] {
		first = min(first, at)
	}
	return first
}

func (w walFiles) has(timeline uint32, at actions.LSN) bool {
	return slices.Contains(w[timeline], at)
}

// segmentOf is where the WAL file begins that holds a position.
func segmentOf(at actions.LSN, segment uint64) actions.LSN {
	return actions.LSN(uint64(at) / segment * segment)
}

// segmentFile is the name of the file that holds a position.
func segmentFile(timeline uint32, at, segment uint64) string {
	perID := uint64(1<<32) / segment
	number := at / segment
	return fmt.Sprintf("%08X%08X%08X", timeline, number/perID, number%perID)
}
