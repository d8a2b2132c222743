package live_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lastmile/live"
)

// rawConn is a browser of a few bytes: a socket and nothing else, so that what
// a benchmark weighs is the server's.
type rawConn struct {
	net.Conn
	session string
}

// dialRaw loads a page and opens its WebSocket by hand.
func dialRaw(tb testing.TB, server *httptest.Server) *rawConn {
	tb.Helper()
	page, cookie := load(tb.Context(), server.URL)
	d := dataOf(page)
	conn, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() }) // the server may have been first
	hello, err := json.Marshal(map[string]any{"v": 1, "t": d.Token, "h": d.Hash, "f": d.Manifest})
	if err != nil {
		tb.Fatal(err)
	}
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: %s=%s\r\n\r\n", conn.RemoteAddr(), cookie.Name, cookie.Value)
	session, _, _ := strings.Cut(cookie.Value, ".") // behind it is the signature
	c := &rawConn{conn, session}
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		tb.Fatalf("upgrade: %v %v", res, err)
	}
	if err := res.Body.Close(); err != nil {
		tb.Fatal(err)
	}
	c.send(tb, hello)
	readFrame(tb, r)
	c.send(tb, []byte(`{"k":1}`))
	return c
}

// send writes a masked text frame.
func (c *rawConn) send(tb testing.TB, payload []byte) {
	tb.Helper()
	frame := []byte{0x81}
	if len(payload) < 126 {
		frame = append(frame, 0x80|byte(len(payload)))
	} else {
		frame = append(frame, 0x80|126, byte(len(payload)>>8), byte(len(payload)))
	}
	frame = append(frame, 0, 0, 0, 0) // a mask of zeroes
	if _, err := c.Write(append(frame, payload...)); err != nil {
		tb.Fatal(err)
	}
}

// readFrame reads one unmasked frame.
func readFrame(tb testing.TB, r *bufio.Reader) []byte {
	tb.Helper()
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		tb.Fatal(err)
	}
	n := int(head[1])
	if n == 126 {
		var ext [2]byte
		if _, err := io.ReadFull(r, ext[:]); err != nil {
			tb.Fatal(err)
		}
		n = int(ext[0])<<8 | int(ext[1])
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		tb.Fatal(err)
	}
	return payload
}

// BenchmarkIdleConnection reports what one idle connection of a small page
// holds on the server, the sockets' kernel memory apart.
func BenchmarkIdleConnection(b *testing.B) {
	const conns = 2000
	n := startNode(b, memStore(b), live.Config{})
	v := view(b, n, counting{}, counter{}, counterHTML)
	server := httptest.NewServer(v)
	defer server.Close()
	for range b.N {
		weigh := func() uint64 {
			for range 8 { // stacks shrink by half at each collection
				runtime.GC()
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc + m.StackInuse
		}
		dialRaw(b, server)
		before := weigh()
		open := make([]*rawConn, 0, conns)
		for range conns {
			open = append(open, dialRaw(b, server))
		}
		http.DefaultClient.CloseIdleConnections()
		time.Sleep(300 * time.Millisecond)
		after := weigh()
		b.ReportMetric(float64(after-before)/conns, "B/conn")
		runtime.KeepAlive(open)
	}
}

// BenchmarkPushToFrame reports the time from TriggerAction's call to the frame
// in the browser's socket, on an idle node over loopback.
func BenchmarkPushToFrame(b *testing.B) {
	n := startNode(b, memStore(b), live.Config{})
	v := view(b, n, counting{}, counter{}, counterHTML)
	server := httptest.NewServer(v)
	defer server.Close()
	c := dialRaw(b, server)
	session := n.publisher.Session(c.session)
	r := bufio.NewReader(c)
	var took []time.Duration
	i := 0
	for b.Loop() {
		i++
		start := time.Now()
		if err := session.TriggerAction("Note", map[string]any{"text": i}); err != nil {
			b.Fatal(err)
		}
		if frame := readFrame(b, r); !strings.Contains(string(frame), strconv.Itoa(i)) {
			b.Fatalf("push %d made the frame %s", i, frame)
		}
		took = append(took, time.Since(start))
		if i%100 == 0 { // browsers gather their confirmations
			c.send(b, fmt.Appendf(nil, `{"k":%d}`, i+1))
		}
		if i%500 == 0 { // acknowledgements are gathered too; the mailbox is not to fill up
			time.Sleep(250 * time.Millisecond)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
}

// BenchmarkClick reports the cost of a click on a small page, from message to
// frame.
func BenchmarkClick(b *testing.B) {
	n := startNode(b, memStore(b), live.Config{MessageRate: 1e9, MessageBurst: 1 << 30})
	v := view(b, n, counting{}, counter{}, counterHTML)
	server := httptest.NewServer(v)
	defer server.Close()
	c := dialRaw(b, server)
	r := bufio.NewReader(c)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		c.send(b, fmt.Appendf(nil, `{"a":"Add","i":%d,"k":%d}`, i, i))
		readFrame(b, r)
	}
}
