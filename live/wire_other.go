//go:build !unix

package live

import "net"

// attempter returns nothing: frames are written by a goroutine.
func attempter(net.Conn) func(p []byte) (int, error) { return nil }
