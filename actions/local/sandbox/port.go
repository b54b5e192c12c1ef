package sandbox

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports below what systems hand out to outgoing connections (from 32768 on Linux, 49152 on macOS), above what
// services are registered for most.
const (
	firstPort = 20000
	lastPort  = 31999
)

// errNoPort means that a few hundred ports in a row were taken.
var errNoPort = errors.New("no free TCP port was found on 127.0.0.1")

// port is held for a server by a UDP socket of the same number, which leaves TCP free and which no process
// can leave behind. Other sandboxes pass over it, also while its server is down.
type port struct {
	number int
	held   net.PacketConn
}

func takePort() (port, error) {
	for range 300 {
		number := firstPort + rand.IntN(lastPort-firstPort+1)
		address := fmt.Sprintf("127.0.0.1:%d", number)
		held, err := net.ListenPacket("udp4", address)
		if err != nil {
			continue
		}
		if !inUse(address) {
			return port{number, held}, nil
		}
		_ = held.Close()
	}
	return port{}, errNoPort
}

// inUse tells whether somebody listens there already.
func inUse(address string) bool {
	listener, err := net.Listen("tcp4", address)
	if err != nil {
		return true
	}
	_ = listener.Close()
	return false
}

func (p port) release() {
	if p.held != nil {
		_ = p.held.Close()
	}
}
