package stream

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// control is what is said behind each data event.
type control struct {
	Next     string `json:"streamNextOffset"`
	Cursor   string `json:"streamCursor,omitempty"`
	UpToDate bool   `json:"upToDate,omitempty"`
	Closed   bool   `json:"streamClosed,omitempty"`
}

// events is an answer of server-sent events.
type events struct {
	w       http.ResponseWriter
	timeout time.Duration

	contentType string
	encode      func([]byte) string
	cut         bool // at runes
	held        []byte
	cursor      string
}

// events writes what a stream holds and gets, until the reader has to come back.
func (h *Handler) events(ctx context.Context, w http.ResponseWriter, r *request, from Offset) error {
	page, err := h.store.Read(ctx, r.key, from, h.cfg.MaxReadBytes, true)
	if err != nil {
		return err
	}
	ctx, leave, ok := h.enter(ctx)
	if !ok {
		h.busy(w)
		return nil
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, h.cfg.MaxEvents)
	defer cancel()
	e := newEvents(w, page.State.ContentType, r.URL.Query().Get("cursor"))
	e.timeout = h.cfg.WriteTimeout
	reader := NewReader(h.store, r.key, page.To)
	defer reader.Close()
	reader.touch, reader.id, reader.end, reader.closed = false, page.State.ID, page.State.End, page.State.Closed
	chunk := Chunk{Data: page.Data, From: page.From, To: page.To, Ended: page.Ended()}
	for {
		h.metrics.read.Add(float64(len(chunk.Data)))
		if e.write(chunk, chunk.To == reader.end) != nil || chunk.Ended {
			return nil
		}
		if chunk, err = h.next(ctx, reader, e); err != nil {
			return nil // it comes back, and is told the reason then
		}
	}
}

// next waits for the next chunk, and has something written now and then. A store
// that does not answer is waited for.
func (h *Handler) next(ctx context.Context, reader *Reader, e *events) (Chunk, error) {
	for {
		beatCtx, cancel := context.WithTimeout(ctx, h.cfg.Heartbeat)
		c, err := reader.Next(beatCtx)
		cancel()
		switch {
		case err == nil, ctx.Err() != nil, Final(err):
			return c, err
		case !errors.Is(err, context.DeadlineExceeded):
			if err := wait(ctx, look); err != nil {
				return c, err
			}
		}
		if err := e.write(Chunk{From: reader.at, To: reader.at}, true); err != nil {
			return c, err
		}
	}
}

func newEvents(w http.ResponseWriter, contentType, given string) *events {
	e := &events{w: w, contentType: contentType, cursor: given}
	base := BaseType(contentType)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // proxies hold answers back otherwise
	switch {
	case base == jsonType:
		e.encode = func(b []byte) string { return string(wrap(contentType, b)) }
	case strings.HasPrefix(base, "text/"):
		e.cut = true
		e.encode = func(b []byte) string { return string(b) }
	default:
		e.encode = base64.StdEncoding.EncodeToString
		h.Set(headerEncoding, "base64")
	}
	w.WriteHeader(http.StatusOK)
	return e
}

// write writes a chunk and what is to be said behind it. A rune whose last bytes
// have not come is held back: a reader of text would get something else.
func (e *events) write(c Chunk, upToDate bool) error {
	data := slices.Concat(e.held, c.Data)
	e.held = nil
	if n := whole(data); e.cut && !c.Ended && n < len(data) {
		e.held = bytes.Clone(data[n:])
		data = data[:n]
	}
	said := control{Next: Offset{Edition: c.To.Edition, Pos: c.To.Pos - int64(len(e.held))}.String(), UpToDate: upToDate}
	if c.Ended {
		said.Closed, said.UpToDate = true, true
	} else {
		said.Cursor = cursor(e.cursor)
	}
	var b bytes.Buffer
	if len(data) > 0 {
		event(&b, "data", e.encode(data))
	}
	text, err := json.Marshal(said)
	if err != nil {
		return err
	}
	event(&b, "control", string(text))
	return send(e.w, b.Bytes(), e.timeout)
}

// piece is how much has to go out within a write's timeout.
const piece = 64 << 10

// send writes to a reader, who is cut if nothing goes out for too long.
func send(w http.ResponseWriter, data []byte, timeout time.Duration) error {
	out := http.NewResponseController(w)
	for part := range slices.Chunk(data, piece) {
		if err := out.SetWriteDeadline(time.Now().Add(timeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// lines has every end of a line that a reader of events knows become a line feed.
var lines = strings.NewReplacer("\r\n", "\n", "\r", "\n") //nolint:gochecknoglobals // built once

// event writes one event. Readers take one space off the front of a line, so a
// line that begins with one gets another.
func event(b *bytes.Buffer, name, data string) {
	b.WriteString("event: " + name + "\n")
	for line := range strings.SplitSeq(lines.Replace(data), "\n") {
		b.WriteString("data:")
		if strings.HasPrefix(line, " ") {
			b.WriteByte(' ')
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
}
