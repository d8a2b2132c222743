package pushhttp_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// block is an event of a stream.
type block struct{ id, event, data, retry, comment string }

// readBlock returns the next block of a stream.
func readBlock(r *bufio.Reader) (block, error) {
	var b block
	var data []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return b, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			b.data = strings.Join(data, "\n")
			return b, nil
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			b.id = value
		case "event":
			b.event = value
		case "data":
			data = append(data, value)
		case "retry":
			b.retry = value
		case "":
			b.comment = value
		}
	}
}

// stream is an open event stream that is read in the background.
type stream struct {
	header http.Header
	status int
	close  func()
	ended  chan struct{}

	mu     sync.Mutex
	blocks []block
}

// listen opens a stream.
func (s *site) listen(session, path string, header map[string]string) *stream {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	all := map[string]string{"Accept": "text/event-stream"}
	maps.Copy(all, header)
	res, err := s.do(ctx, call{method: http.MethodGet, path: path, session: session, header: all}) //nolint:bodyclose // the goroutine below does
	if err != nil {
		s.t.Fatal(err)
	}
	st := &stream{header: res.Header, status: res.StatusCode, ended: make(chan struct{})}
	go func() {
		defer close(st.ended)
		body := bufio.NewReader(res.Body)
		for {
			b, err := readBlock(body)
			if err != nil {
				_ = res.Body.Close() // it is over
				return
			}
			st.mu.Lock()
			st.blocks = append(st.blocks, b)
			st.mu.Unlock()
		}
	}()
	st.close = sync.OnceFunc(func() { cancel(); <-st.ended })
	s.t.Cleanup(st.close)
	return st
}

// all returns the blocks so far.
func (st *stream) all() []block {
	st.mu.Lock()
	defer st.mu.Unlock()
	return slices.Clone(st.blocks)
}

// numbers returns the numbers of the pushes so far, and the names of other events.
func (st *stream) numbers() string {
	var list []string
	for _, b := range st.all() {
		switch b.data {
		case "":
		case "{}":
			list = append(list, b.event)
		default:
			list = append(list, numberOf([]byte(b.data)))
		}
	}
	return strings.Join(list, " ")
}

// last returns the last ID.
func (st *stream) last() string {
	id := ""
	for _, b := range st.all() {
		if b.id != "" {
			id = b.id
		}
	}
	return id
}

// polled is the answer to a long poll.
type polled struct {
	Events []struct {
		ID, Action string
		Data       json.RawMessage
	}
	Next  string
	Reset bool
}

func (s *site) poll(session, query string) polled {
	s.t.Helper()
	a := s.answer(call{method: http.MethodGet, path: "events" + query, session: session, header: map[string]string{"Accept": "application/json"}})
	if a.status != http.StatusOK {
		s.t.Fatalf("poll %s: %d %s", query, a.status, a.body)
	}
	var p polled
	if err := json.NewDecoder(bytes.NewReader([]byte(a.body))).Decode(&p); err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (p polled) numbers() string {
	var list []string
	if p.Reset {
		list = append(list, "reset")
	}
	for _, e := range p.Events {
		list = append(list, numberOf(e.Data))
	}
	return strings.Join(list, " ")
}
