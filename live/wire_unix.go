//go:build unix

package live

import (
	"errors"
	"net"
	"syscall"
)

// attempter returns a function that writes to conn what its socket takes
// without waiting, or nil when conn is not a plain socket. A type that only
// embeds one may want to see every write.
func attempter(conn net.Conn) func(p []byte) (int, error) {
	var raw syscall.RawConn
	var err error
	switch c := conn.(type) {
	case *net.TCPConn:
		raw, err = c.SyscallConn()
	case *net.UnixConn:
		raw, err = c.SyscallConn()
	default:
		return nil
	}
	if err != nil {
		return nil
	}
	a := &attempt{raw: raw}
	a.call = a.write
	return a.run
}

// attempt is a write that does not wait. It is kept, with its method values, to
// cost no memory a write; the wire's lock guards it.
type attempt struct {
	raw  syscall.RawConn
	call func(fd uintptr) bool

	p   []byte
	n   int
	err error
}

func (a *attempt) run(p []byte) (int, error) {
	a.p, a.n, a.err = p, 0, nil
	err := a.raw.Write(a.call)
	a.p = nil
	switch {
	case err != nil:
		return 0, err // the connection is closed
	case errors.Is(a.err, syscall.EAGAIN):
		return 0, nil
	}
	return a.n, a.err
}

func (a *attempt) write(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), a.p)
		if err == syscall.EINTR { //nolint:errorlint // as the system returns it
			continue
		}
		a.n, a.err = max(0, n), err
		return true // whatever came of it: do not wait
	}
}
