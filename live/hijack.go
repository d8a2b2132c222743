package live

import (
	"bufio"
	"net"
	"net/http"
)

// slim is a ResponseWriter whose hijacked connection has small buffers. The
// server's own, twice 4 KiB, would be a third of what an idle connection holds.
type slim struct{ http.ResponseWriter }

const (
	readBuffer  = 512
	writeBuffer = 1024
)

// Hijack implements http.Hijacker.
func (s slim) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err != nil || rw.Reader.Buffered() > 0 || rw.Writer.Buffered() > 0 {
		return conn, rw, err // a browser in a hurry keeps the large ones
	}
	return conn, bufio.NewReadWriter(bufio.NewReaderSize(conn, readBuffer), bufio.NewWriterSize(conn, writeBuffer)), nil
}
