package live_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"lastmile/live/livetest"
	"lastmile/push"
)

// told is what a browser reads off the wire about its messages.
type told struct {
	Answered uint64          `json:"i"`
	Error    *livetest.Error `json:"x"`
	Seq      uint64          `json:"s"`
	Snapshot json.RawMessage `json:"r"`
}

// rawTab speaks the protocol by hand. It confirms frames when it is told to.
type rawTab struct {
	t    *testing.T
	ws   *websocket.Conn
	gone chan struct{}

	mu     sync.Mutex
	frames []told
}

// rawResume opens the connection that the token names, and reads all that comes.
func rawResume(t *testing.T, b *livetest.Browser, h http.Handler, token string) *rawTab {
	t.Helper()
	r := &rawTab{t: t, ws: dialWith(t, b, h, token, ""), gone: make(chan struct{})}
	go func() {
		defer close(r.gone)
		for {
			_, text, err := r.ws.Read(t.Context())
			if err != nil {
				return
			}
			var f told
			if err := json.Unmarshal(text, &f); err != nil {
				t.Errorf("frame %s: %v", text, err)
			}
			r.mu.Lock()
			r.frames = append(r.frames, f)
			r.mu.Unlock()
		}
	}()
	synctest.Wait()
	return r
}

// send sends a message as it is on the wire, and waits until it is dealt with.
func (r *rawTab) send(format string, args ...any) {
	r.t.Helper()
	if err := r.ws.Write(r.t.Context(), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

// confirm tells that all frames are rendered.
func (r *rawTab) confirm() {
	r.t.Helper()
	r.send(`{"k":%d}`, len(r.all()))
}

func (r *rawTab) all() []told {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.frames)
}

// fates are the messages' ends in the order in which a browser learns of them:
// done ones by their number, failed ones with their code.
func (r *rawTab) fates() string {
	time.Sleep(time.Second)
	var out []string
	for _, f := range r.all() {
		if f.Answered != 0 {
			out = append(out, fmt.Sprintf("<=%d", f.Answered))
		}
		if f.Error != nil {
			out = append(out, fmt.Sprintf("%s %d", f.Error.Code, f.Error.Number))
		}
	}
	return strings.Join(out, ", ")
}

// lose breaks the connection without a word.
func (r *rawTab) lose() {
	_ = r.ws.CloseNow() // it is over either way
	time.Sleep(time.Second)
}

// recordOf takes a connection's record over.
func recordOf(t *testing.T, s store, session push.Session, token string) push.ConnRecord {
	t.Helper()
	r, err := s.TakeConn(t.Context(), session.ID(), connOf(t, token), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
