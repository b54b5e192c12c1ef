package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"twokey/actions/local"
)

// sysidInSegment is where the first page of a WAL file holds the system identifier. Page headers have no
// checksum.
const sysidInSegment = 24

var segmentName = regexp.MustCompile(`^[0-9A-F]{24}$`)

// reidentify gives a stopped cluster a new system identifier, as if it had been made by an initdb of its own.
// The identifier stands in the control file and at the head of each WAL file.
func reidentify(s local.Server) error {
	id := binary.NativeEndian.AppendUint64(nil, newIdentifier())
	if err := reidentifyControl(filepath.Join(s.DataDir, "global", "pg_control"), id); err != nil {
		return fmt.Errorf("give the cluster an identifier: %w", err)
	}
	wal := filepath.Join(s.DataDir, "pg_wal")
	files, err := os.ReadDir(wal)
	if err != nil {
		return fmt.Errorf("give the cluster an identifier: %w", err)
	}
	for _, file := range files {
		if !segmentName.MatchString(file.Name()) {
			continue
		}
		if err := overwrite(filepath.Join(wal, file.Name()), sysidInSegment, id); err != nil {
			return fmt.Errorf("give the cluster an identifier: %w", err)
		}
	}
	return nil
}

// reidentifyControl changes the control file's first field. The file's checksum follows its fields, at an
// offset that differs between versions and is found by trying.
func reidentifyControl(path string, id []byte) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	offset, err := checksumOffset(content)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	copy(content, id)
	binary.NativeEndian.PutUint32(content[offset:], controlChecksum(content[:offset]))
	return overwrite(path, 0, content)
}

func overwrite(path string, offset int64, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(content, offset)
	return errors.Join(err, file.Close())
}

// newIdentifier is made like PostgreSQL's: seconds in the upper half, so that it looks familiar, and chance.
func newIdentifier() uint64 { return uint64(time.Now().Unix())<<32 | uint64(rand.Uint32()) }

func controlChecksum(fields []byte) uint32 {
	return crc32.Checksum(fields, crc32.MakeTable(crc32.Castagnoli))
}

func checksumOffset(content []byte) (int, error) {
	const first, last = 128, 512 // the fields take between 200 and 400 bytes in all versions
	for offset := first; offset <= last && offset+4 <= len(content); offset += 4 {
		if binary.NativeEndian.Uint32(content[offset:]) == controlChecksum(content[:offset]) {
			return offset, nil
		}
	}
	return 0, errors.New("no checksum was found in it")
}
