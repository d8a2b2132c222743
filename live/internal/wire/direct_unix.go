//go:build unix

package wire

import (
	"errors"
	"net"
	"syscall"
)

// direct returns functions that write to conn what its socket takes without
// waiting, and that wait until it can be read; or nothing when conn is not a
// plain socket. A type that only embeds one may want to see every call.
func direct(conn net.Conn) (attempt func(p []byte) (int, error), readable func()) {
	var raw syscall.RawConn
	var err error
	switch c := conn.(type) {
	case *net.TCPConn:
		raw, err = c.SyscallConn()
	case *net.UnixConn:
		raw, err = c.SyscallConn()
	default:
		return nil, nil
	}
	if err != nil {
		return nil, nil
	}
	s := &socket{raw: raw}
	s.write = s.tryWrite
	return s.attempt, s.readable
}

// socket is kept, with the method value, to cost no memory a write. The wire's
// lock guards what belongs to writing.
type socket struct {
	raw   syscall.RawConn
	write func(fd uintptr) bool

	p   []byte
	n   int
	err error
}

func (s *socket) attempt(p []byte) (int, error) {
	s.p, s.n, s.err = p, 0, nil
	err := s.raw.Write(s.write)
	s.p = nil
	switch {
	case err != nil:
		return 0, err // the connection is closed
	case errors.Is(s.err, syscall.EAGAIN):
		return 0, nil
	}
	return s.n, s.err
}

func (s *socket) tryWrite(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), s.p)
		if err == syscall.EINTR { //nolint:errorlint // as the system returns it
			continue
		}
		s.n, s.err = max(0, n), err
		return true // whatever came of it: do not wait
	}
}

func (s *socket) readable() { _ = s.raw.Read(pending) } // who reads next finds out why

// pending reports whether a read would not wait.
func pending(fd uintptr) bool {
	var b [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		if err != syscall.EINTR {
			return err != syscall.EAGAIN
		}
	}
}
