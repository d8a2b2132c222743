//go:build !unix

package wire

import "net"

// direct returns nothing: frames are written by a goroutine.
func direct(net.Conn) (attempt func(p []byte) (int, error), readable func()) { return nil, nil }
