package loadgen

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// perAddress is how many connections leave from one source address.
	perAddress = 20_000
	// beat is the time of silence after which a connection says something.
	beat = 20 * time.Second
)

// conn is a browser of a few bytes: a socket, and what its page shows.
type conn struct {
	ws      net.Conn
	in      *bufio.Reader
	all     *tally
	text    string
	numbers []int
	over    atomic.Bool
}

var dataLive = regexp.MustCompile(`data-live=(?:"([^"]*)"|'([^']*)')`)

// dial loads the page and connects it.
func dial(ctx context.Context, addr string, i int, all *tally) (*conn, error) {
	dialer := &net.Dialer{
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i/perAddress))}, //nolint:gosec // no machine has ports for more
		Timeout:   30 * time.Second,
	}
	ws, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &conn{ws: ws, in: bufio.NewReaderSize(ws, 4096), all: all}
	if err := c.handshake(addr, SessionID(i)); err != nil {
		_ = ws.Close() // the error is what counts
		return nil, err
	}
	c.in = bufio.NewReaderSize(ws, 256) // nothing has come since: the server waits for the acknowledgement
	return c, nil
}

// handshake loads the page and upgrades, on one connection.
func (c *conn) handshake(addr, session string) error {
	request := "GET / HTTP/1.1\r\nHost: " + addr + "\r\nCookie: session=" + session + "\r\n"
	if _, err := io.WriteString(c.ws, request+"\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close() // all has been read
	if err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("page: status %d, %w", res.StatusCode, err)
	}
	found := dataLive.FindSubmatch(body)
	if found == nil {
		return errors.New("page: no data-live")
	}
	var data struct{ Token, Hash, Manifest string }
	if err := json.Unmarshal([]byte(html.UnescapeString(string(found[1])+string(found[2]))), &data); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	upgrade := "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if _, err := io.WriteString(c.ws, request+upgrade); err != nil {
		return err
	}
	if res, err = http.ReadResponse(c.in, nil); err != nil {
		return err
	}
	_ = res.Body.Close() // it has none
	if res.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("upgrade: status %d", res.StatusCode)
	}
	hello, err := json.Marshal(map[string]any{"v": 1, "t": data.Token, "h": data.Hash, "f": data.Manifest})
	if err != nil {
		return err
	}
	if err := c.send(hello); err != nil {
		return err
	}
	return c.frame()
}

// read takes frames until the connection ends.
func (c *conn) read() error {
	for {
		if err := c.frame(); err != nil {
			return err
		}
	}
}

// frame takes one frame, and answers it.
func (c *conn) frame() error {
	var head [2]byte
	for {
		_ = c.ws.SetReadDeadline(time.Now().Add(beat)) // fails with the read
		_, err := io.ReadFull(c.in, head[:1])
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if err := c.send([]byte("{}")); err != nil {
			return err
		}
	}
	if _, err := io.ReadFull(c.in, head[1:]); err != nil {
		return err
	}
	n := int(head[1] & 0x7f)
	if n == 126 {
		var ext [2]byte
		if _, err := io.ReadFull(c.in, ext[:]); err != nil {
			return err
		}
		n = int(binary.BigEndian.Uint16(ext[:]))
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(c.in, payload); err != nil {
		return err
	}
	if op := head[0] & 0x0f; op != 1 {
		return fmt.Errorf("frame of type %d: %s", op, payload)
	}
	return c.apply(payload)
}

// apply takes a message from the server and acknowledges it.
func (c *conn) apply(payload []byte) error {
	var f struct {
		Seq   int             `json:"s"`
		Patch json.RawMessage `json:"p"`
		Root  json.RawMessage `json:"r"`
	}
	if err := json.Unmarshal(payload, &f); err != nil {
		return fmt.Errorf("frame %s: %w", payload, err)
	}
	if f.Seq == 0 {
		return nil // a heartbeat's answer
	}
	if len(f.Patch)+len(f.Root) > 0 {
		c.all.frames.Add(1)
		c.show(string(f.Patch) + string(f.Root))
	}
	return c.send(fmt.Appendf(nil, `{"k":%d}`, f.Seq))
}

var token = regexp.MustCompile(`(\d+)@(\d+),`)

// show notes what the page shows now. A text that does not continue the one
// before is judged as a whole.
func (c *conn) show(text string) {
	now := time.Now().UnixNano()
	tokens := token.FindAllStringSubmatch(text, -1)
	fresh := tokens
	if len(tokens) >= len(c.numbers) {
		fresh = tokens[len(c.numbers):]
	}
	if !strings.HasPrefix(joined(tokens), c.text) {
		c.numbers, fresh = nil, tokens
	}
	c.text = joined(tokens)
	for _, t := range fresh {
		n, _ := strconv.Atoi(t[1])
		at, _ := strconv.ParseInt(t[2], 10, 64)
		c.numbers = append(c.numbers, n)
		c.all.pushes.Add(1)
		c.all.mu.Lock()
		c.all.times = append(c.all.times, time.Duration(now-at))
		c.all.mu.Unlock()
	}
}

func joined(tokens [][]string) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(t[0])
	}
	return b.String()
}

// send writes a masked text message.
func (c *conn) send(payload []byte) error {
	b := []byte{0x81, 0x80 | byte(min(len(payload), 126))}
	if len(payload) >= 126 {
		b = binary.BigEndian.AppendUint16(b, uint16(len(payload))) //nolint:gosec // messages are short
	}
	b = append(b, 0, 0, 0, 0) // a mask of zeroes
	_, err := c.ws.Write(append(b, payload...))
	return err
}
