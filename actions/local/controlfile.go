package local

import (
	"encoding/binary"
	"hash/crc32"
	"os"
)

// Layout of the control file's beginning, the same from PostgreSQL 13 to 18: system identifier (8 bytes),
// version of the layout (4), of the catalog (4), state (4). A CRC-32C of all that comes before it ends the
// used part; where it stands differs from version to version.
const (
	controlVersionAt = 8
	controlStateAt   = 16
	controlLeast     = 200 // the CRC doesn't stand before
	controlMost      = 512 // nor after: the server never writes more, so that one sector holds all

	oldestControl = 1300
	newestControl = 1800

	stateShutDown           = 1
	stateShutDownInRecovery = 2
)

// seenClean tells that the control file says, whole and in a layout that is known here, that the server's last
// run ended in good order. false says nothing: then [Server.Control] knows. Unlike that one it starts no
// program, for it is asked while writers wait. The server must not be running.
func (s Server) seenClean() bool {
	raw, err := os.ReadFile(s.file("global/pg_control"))
	return err == nil && cleanControl(raw)
}

func cleanControl(raw []byte) bool {
	if len(raw) < controlLeast || !intactControl(raw) {
		return false
	}
	version := binary.NativeEndian.Uint32(raw[controlVersionAt:])
	if version < oldestControl || version > newestControl {
		return false
	}
	state := binary.NativeEndian.Uint32(raw[controlStateAt:])
	return state == stateShutDown || state == stateShutDownInRecovery
}

// intactControl finds the CRC that fits what stands before it. Elsewhere in the file one fits by chance once in
// some 50 million files, and only in a damaged one would that matter.
func intactControl(raw []byte) bool {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Checksum(raw[:controlLeast], table)
	for at := controlLeast; at+4 <= min(len(raw), controlMost); at += 4 {
		if binary.NativeEndian.Uint32(raw[at:]) == sum {
			return true
		}
		sum = crc32.Update(sum, table, raw[at:at+4])
	}
	return false
}
