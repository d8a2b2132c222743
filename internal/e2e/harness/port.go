package harness

import (
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
)

// Ports are taken below the range from which the kernel gives outgoing
// connections theirs, so that a program restarted on its port finds it free.
// Test binaries run side by side: each looks in a block of its own.
const (
	firstPort = 20000
	blocks    = 50
	blockLen  = 200
)

// handedOut holds the ports that this process has given away.
var handedOut sync.Map //nolint:gochecknoglobals // ports are a resource of the process

// FreeAddr returns a loopback address that nobody listens on and that no other
// call in this process returns.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := firstPort + os.Getpid()%blocks*blockLen + rand.IntN(blockLen) //nolint:gosec // not a secret
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if _, taken := handedOut.LoadOrStore(port, true); !taken && free(t, addr) {
			return addr
		}
	}
	t.Fatal("harness: no free port")
	return ""
}

func free(t testing.TB, addr string) bool {
	t.Helper()
	var config net.ListenConfig
	config.SetMultipathTCP(false) // such a listener lets go of its port some time after Close
	l, err := config.Listen(t.Context(), "tcp", addr)
	if err != nil {
		return false
	}
	return l.Close() == nil
}
