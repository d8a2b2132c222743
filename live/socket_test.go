package live_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"lastmile/internal/patience"
	"lastmile/live"
)

// These tests use a socket of the system: what the socket does not take is
// another path than what a pipe does not take, see conn_test.go.

// filler is text that no system's buffers hold often.
var filler = strings.Repeat("0123456789abcdef", 3500) // 56 KB

const slowHTML = `<p>{{.Last}}</p>`

// telling shows what it is told, and says so, and why the page ended.
type telling chan string

func (c telling) Note(s counter, ctx *live.Context) (counter, error) {
	s.Last = ctx.GetString("text")
	c <- "push"
	return s, nil
}

func (c telling) OnDisconnect(_ counter, ctx *live.Context) { c <- string(ctx.Reason()) }

// next waits until the controller says something.
func (c telling) next(t *testing.T) string {
	t.Helper()
	return patience.Receive(t, "the controller to say something", c)
}

func TestSlowSocketGetsWholeFramesAndTheLatest(t *testing.T) {
	t.Parallel()
	said := make(telling, 1000)
	n := startNode(t, memStore(t), live.Config{WriteTimeout: time.Minute})
	server := httptest.NewServer(view(t, n, said, counter{}, slowHTML))
	t.Cleanup(server.Close)
	c := dialRaw(t, server)
	const count = 100
	for i := range count {
		trigger(t, n.publisher.Session(c.session), "Note", map[string]any{"text": strconv.Itoa(i) + filler})
		said.next(t) // a frame each, until the socket is full
	}

	r := bufio.NewReader(c)
	frames, shown := 0, ""
	for last := uint64(1); !strings.HasPrefix(shown, strconv.Itoa(count-1)+"0"); frames++ {
		raw := readFrame(t, r)
		var f struct {
			Seq   uint64          `json:"s"`
			Patch json.RawMessage `json:"p"`
		}
		if err := json.Unmarshal(raw, &f); err != nil || f.Seq != last+1 {
			t.Fatalf("frame %d of %d bytes after %d: %v", f.Seq, len(raw), last, err)
		}
		last = f.Seq
		text, _, ok := strings.Cut(string(f.Patch), filler)
		if !ok {
			t.Fatalf("frame %d lacks the text: %.80s", f.Seq, raw)
		}
		shown = text[strings.LastIndexByte(text, '"')+1:] + "0"
		c.send(t, []byte(`{"k":`+strconv.FormatUint(last, 10)+`}`))
	}
	if frames == count {
		t.Errorf("%d frames for %d pushes: none was coalesced", frames, count)
	}
}

func TestSlowSocketIsCut(t *testing.T) {
	t.Parallel()
	said := make(telling, 1000)
	said <- "go"
	n := startNode(t, memStore(t), live.Config{WriteTimeout: 50 * time.Millisecond})
	server := httptest.NewServer(view(t, n, said, counter{}, slowHTML))
	t.Cleanup(server.Close)
	c := dialRaw(t, server)
	for i := 0; said.next(t) != "slow"; i++ {
		_ = n.publisher.Session(c.session).TriggerAction("Note", map[string]any{"text": strconv.Itoa(i) + filler}) // the page may be gone
	}
}

func TestSocketIsClosedInOrder(t *testing.T) {
	t.Parallel()
	said := make(telling, 10)
	n := startNode(t, memStore(t), live.Config{})
	server := httptest.NewServer(view(t, n, said, counter{}, slowHTML))
	t.Cleanup(server.Close)
	answers, silent := dialRaw(t, server), dialRaw(t, server)
	stopped := make(chan struct{})
	go func() {
		n.stop()
		close(stopped)
	}()
	for _, c := range []*rawConn{answers, silent} {
		if frame := readFrame(t, bufio.NewReader(c)); len(frame) < 2 || binary.BigEndian.Uint16(frame) != 1012 {
			t.Errorf("got the frame %q, want one that closes with 1012", frame)
		}
	}
	if _, err := answers.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xf4}); err != nil {
		t.Error(err)
	}
	_ = silent.Close() // it is gone without a word
	<-stopped
	for range 2 {
		if got := said.next(t); got != "shutdown" {
			t.Errorf("OnDisconnect saw the reason %q", got)
		}
	}
}
