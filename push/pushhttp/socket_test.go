package pushhttp_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"lastmile/push/mempush"
	"lastmile/push/pushhttp"
)

// socketTo opens a WebSocket.
func (s *site) socketTo(session string, protocols ...string) (*websocket.Conn, *http.Response, error) {
	header := http.Header{}
	if session != "" {
		header.Set("X-Session", session)
	}
	return websocket.Dial(s.t.Context(), "ws://site.test/push/socket", &websocket.DialOptions{HTTPClient: s.client, HTTPHeader: header, Subprotocols: protocols})
}

// message is what comes down a WebSocket.
type message struct {
	ID, Action, Event string
	Data              json.RawMessage
	Retry             int
}

// nextMessage returns the next one that is more than a place or a heartbeat.
func nextMessage(t *testing.T, ws *websocket.Conn) message {
	t.Helper()
	for {
		_, text, err := ws.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var m message
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		if m.Action != "" || m.Event != "" {
			return m
		}
	}
}

// TestSocketConfirmsWhatItIsTold: nothing by listening, from its first word on.
func TestSocketConfirmsWhatItIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{})
		s.push(alice, "Did", 1, 2)
		token, err := s.handler.Token(alice, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		ws, res, err := s.socketTo("", "lastmile.push", "bearer."+token) //nolint:bodyclose // Dial says: never
		if err != nil {
			t.Fatal(err)
		}
		defer ws.CloseNow() //nolint:errcheck // the test is over
		if got := res.Header.Get("Sec-WebSocket-Protocol"); got != "lastmile.push" {
			t.Errorf("protocol %q", got)
		}
		one, two := nextMessage(t, ws), nextMessage(t, ws)
		if one.Action != "Did" || numberOf(one.Data)+numberOf(two.Data) != "12" {
			t.Errorf("messages %+v, %+v", one, two)
		}
		if err := ws.Write(t.Context(), websocket.MessageText, []byte(`{"ack":"`+one.ID+`"}`)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		if got := s.pending(alice); got != "2" {
			t.Errorf("pending: %s", got)
		}
		go s.stop()
		if m := nextMessage(t, ws); m.Event != "stopping" || m.Retry == 0 {
			t.Errorf("when the handler stops: %+v", m)
		}
		if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
			t.Errorf("the end: %v", err)
		}
	})
}

// TestSilentSocketListens: one that never confirms does not fill the mailbox.
func TestSilentSocketListens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{})
		ws, _, err := s.socketTo(alice) //nolint:bodyclose // Dial says: never
		if err != nil {
			t.Fatal(err)
		}
		defer ws.CloseNow() //nolint:errcheck // the test is over
		s.push(alice, "Did", 1)
		nextMessage(t, ws)
		done := make(chan struct{})
		go func() { // takes what else comes off the wire
			defer close(done)
			for err := error(nil); err == nil; {
				_, _, err = ws.Read(t.Context())
			}
		}()
		time.Sleep(15 * time.Second)
		if got := s.pending(alice); got != "" {
			t.Errorf("pending: %s", got)
		}
		_ = ws.CloseNow() // the reading goroutine ends
		<-done
	})
}

func TestSocketRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{MaxSessionReaders: 1})
		foreign := s.poll(bob, "?wait=0").Next
		for name, text := range map[string]string{"no JSON": `ack`, "foreign cursor": `{"ack":"` + foreign + `"}`, "long": `{"ack":"` + strings.Repeat("x", 5000) + `"}`} {
			ws, _, err := s.socketTo(alice) //nolint:bodyclose // Dial says: never
			if err != nil {
				t.Fatal(err)
			}
			if _, res, err := s.socketTo(alice); err == nil || res.StatusCode != http.StatusServiceUnavailable { //nolint:bodyclose // Dial says: never
				t.Errorf("a second socket: %v", err)
			}
			if err := ws.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, _, err = ws.Read(t.Context())
			}
			if got := websocket.CloseStatus(err); got != websocket.StatusPolicyViolation && got != websocket.StatusMessageTooBig {
				t.Errorf("%s: %v", name, err)
			}
			_ = ws.CloseNow() // it is over
			time.Sleep(10 * time.Second)
		}
		if _, res, err := s.socketTo(""); err == nil || res.StatusCode != http.StatusUnauthorized { //nolint:bodyclose // Dial says: never
			t.Errorf("nobody: %v", err)
		}
	})
}
