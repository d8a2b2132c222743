package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

var (
	typeForm   = regexp.MustCompile(`^[\w-]+/[\w.+-]+`)
	numberForm = regexp.MustCompile(`^(0|[1-9]\d{0,11})$`)
)

// maxTTL keeps lifetimes within what a time.Duration holds: a hundred years.
const maxTTL = 100 * 365 * 24 * 60 * 60

// single returns the value of a header that may be there once.
func single(h http.Header, name string) (value string, there bool) {
	all, there := h[name]
	if len(all) == 0 {
		return "", false
	}
	return all[0], there
}

// wantsClosed reads the header that closes a stream.
func wantsClosed(r *request) bool { return strings.EqualFold(r.Header.Get(headerClosed), "true") }

// body reads what a request brings.
func (h *Handler) body(w http.ResponseWriter, r *request) ([]byte, error) {
	return io.ReadAll(http.MaxBytesReader(w, r.Body, h.cfg.MaxBodyBytes))
}

// put creates a stream.
func (h *Handler) put(ctx context.Context, w http.ResponseWriter, r *request, source *Key) error {
	c, err := h.creation(ctx, w, r, source)
	if err != nil {
		return err
	}
	state, created, err := h.store.Create(ctx, r.key, c)
	switch {
	case source != nil && errors.Is(err, ErrInvalid):
		return bad("The fork's offset is not one of its source.")
	case err != nil:
		return err
	}
	out := w.Header()
	out.Set("Content-Type", state.ContentType)
	out.Set(headerNext, state.End.String())
	if state.Closed {
		out.Set(headerClosed, "true")
	}
	if !created {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	scheme := "http://"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https://"
	}
	out.Set("Location", scheme+r.Host+r.mount+r.URL.EscapedPath())
	w.WriteHeader(http.StatusCreated)
	return nil
}

// creation reads what stream is to be made.
func (h *Handler) creation(ctx context.Context, w http.ResponseWriter, r *request, source *Key) (Create, error) {
	c := Create{ContentType: r.Header.Get("Content-Type"), ExpiresAt: r.Header.Get(headerExpires), Closed: wantsClosed(r)}
	if !typeForm.MatchString(c.ContentType) {
		c.ContentType = ""
	}
	if len(c.ContentType) > maxKeyLen || len(c.ExpiresAt) > maxKeyLen {
		return c, bad("A header is too long.")
	}
	if ttl, there := single(r.Header, headerTTL); there {
		n, err := strconv.ParseInt(ttl, 10, 64)
		if !numberForm.MatchString(ttl) || err != nil || n > maxTTL || c.ExpiresAt != "" {
			return c, bad("Stream-TTL is a number of seconds, and stands alone.")
		}
		c.TTL = max(time.Duration(n)*time.Second, time.Millisecond)
	}
	if _, err := time.Parse(time.RFC3339Nano, c.ExpiresAt); c.ExpiresAt != "" && err != nil {
		return c, bad("Stream-Expires-At is a time of RFC 3339.")
	}
	var err error
	if c.Data, err = h.body(w, r); err != nil {
		return c, err
	}
	if c.Fork, err = fork(r, source); err != nil {
		return c, err
	}
	isJSON := BaseType(c.ContentType) == jsonType
	if source != nil && c.ContentType == "" && len(c.Data) > 0 { // its source's
		page, err := h.store.Read(ctx, *source, Now, 0, false)
		if err != nil {
			return c, err
		}
		isJSON = BaseType(page.State.ContentType) == jsonType
	}
	if isJSON && len(c.Data) > 0 {
		data, ok := flatten(c.Data)
		if !ok {
			return c, bad("The body is no JSON.")
		}
		c.Data = data
	}
	return c, nil
}

// fork reads where a fork leaves its source.
func fork(r *request, source *Key) (*Fork, error) {
	sub, there := single(r.Header, headerForkSub)
	if source == nil {
		if there {
			return nil, bad("Stream-Fork-Sub-Offset is for forks.")
		}
		return nil, nil
	}
	if source.Group != r.key.Group {
		return nil, bad("A fork and its source are of the same group.")
	}
	f := &Fork{Source: source.Name, At: Start}
	if there {
		n, err := strconv.ParseInt(sub, 10, 64)
		if !numberForm.MatchString(sub) || err != nil {
			return nil, bad("Stream-Fork-Sub-Offset is a number.")
		}
		f.Sub = n
	}
	if at := r.Header.Get(headerForkAt); at != "" {
		o, err := ParseOffset(at)
		if err != nil || o == Start || o == Now {
			return nil, bad("Stream-Fork-Offset is an offset.")
		}
		f.At = o
	}
	return f, nil
}

// post appends to a stream.
func (h *Handler) post(ctx context.Context, w http.ResponseWriter, r *request) error {
	a := Append{ContentType: r.Header.Get("Content-Type"), Close: wantsClosed(r), Seq: r.Header.Get(headerSeq)}
	var err error
	if a.Producer, err = producer(r.Header); err != nil {
		return err
	}
	if a.Data, err = h.body(w, r); err != nil {
		return err
	}
	switch {
	case len(a.Seq) > maxKeyLen:
		return bad("Stream-Seq is too long.")
	case len(a.Data) == 0 && !a.Close:
		return bad("There is nothing to append.")
	case len(a.Data) > 0 && a.ContentType == "":
		return bad("An append needs a Content-Type.")
	case len(a.Data) > 0 && BaseType(a.ContentType) == jsonType:
		data, ok := flatten(a.Data)
		if !ok || len(data) == 0 {
			return h.noJSON(ctx, w, r, a)
		}
		a.Data = data
	}
	done, err := h.store.Append(ctx, r.key, a)
	if err != nil {
		return h.refuseAppend(w, r, a, done, err)
	}
	out := w.Header()
	out.Set(headerNext, done.End.String())
	if done.Closed {
		out.Set(headerClosed, "true")
	}
	status := http.StatusNoContent
	if p := a.Producer; p != nil {
		last := p.Seq
		if done.Repeated {
			last = done.ProducerSeq
		} else if len(a.Data) > 0 {
			status = http.StatusOK
		}
		out.Set(headerEpoch, strconv.FormatInt(p.Epoch, 10))
		out.Set(headerNumber, strconv.FormatInt(last, 10))
	}
	w.WriteHeader(status)
	return nil
}

// refuseAppend tells a writer what it lacks.
func (h *Handler) refuseAppend(w http.ResponseWriter, _ *request, a Append, done Appended, err error) error {
	out := w.Header()
	p, isProducer := errors.AsType[*ProducerError](err)
	switch {
	case isProducer && p.Stale:
		out.Set(headerEpoch, strconv.FormatInt(p.Epoch, 10))
		refuse(w, http.StatusForbidden, "The producer was replaced.")
		return nil
	case isProducer && p.Gap:
		out.Set(headerExpected, strconv.FormatInt(p.Expected, 10))
		out.Set(headerReceived, strconv.FormatInt(a.Producer.Seq, 10))
		refuse(w, http.StatusConflict, "Appends of the producer are missing.")
		return nil
	case isProducer:
		return bad("A producer's epoch begins at sequence 0.")
	case errors.Is(err, ErrClosed):
		out.Set(headerNext, done.End.String())
		out.Set(headerClosed, "true")
	}
	return err
}

// noJSON refuses a body that is no JSON, after what is said of the stream itself.
func (h *Handler) noJSON(ctx context.Context, w http.ResponseWriter, r *request, a Append) error {
	page, err := h.store.Read(ctx, r.key, Now, 0, false)
	switch {
	case err != nil:
		return err
	case page.State.Closed:
		return h.refuseAppend(w, r, a, Appended{End: page.State.End, Closed: true}, ErrClosed)
	case BaseType(page.State.ContentType) != jsonType:
		return ErrConflict
	}
	return bad("The body is no JSON, or an empty array.")
}

// producer reads the headers of an idempotent producer: all or none.
func producer(h http.Header) (*Producer, error) {
	id, hasID := single(h, headerProducer)
	epoch, hasEpoch := single(h, headerEpoch)
	seq, hasSeq := single(h, headerNumber)
	if !hasID && !hasEpoch && !hasSeq {
		return nil, nil
	}
	e, errE := number(epoch)
	s, errS := number(seq)
	if !hasID || !hasEpoch || !hasSeq || id == "" || len(id) > maxKeyLen || errors.Join(errE, errS) != nil {
		return nil, bad("A producer has an ID, an epoch and a sequence.")
	}
	return &Producer{ID: id, Epoch: e, Seq: s}, nil
}

// flatten returns the messages of a JSON body, each with a comma behind it: one
// level of array is taken apart.
func flatten(body []byte) ([]byte, bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	var raw json.RawMessage
	if !utf8.Valid(body) || d.Decode(&raw) != nil {
		return nil, false
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, false
	}
	items := []json.RawMessage{raw}
	if raw[0] == '[' {
		items = nil
		if json.Unmarshal(raw, &items) != nil {
			return nil, false
		}
	}
	var b bytes.Buffer
	for _, item := range items {
		if json.Compact(&b, item) != nil {
			return nil, false
		}
		b.WriteByte(',')
	}
	return b.Bytes(), true
}

// wrap returns messages as they are sent to readers.
func wrap(contentType string, data []byte) []byte {
	if BaseType(contentType) != jsonType {
		return data
	}
	data = bytes.TrimSuffix(data, []byte(","))
	all := make([]byte, 0, len(data)+2)
	return append(append(append(all, '['), data...), ']')
}
