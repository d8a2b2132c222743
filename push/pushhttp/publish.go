package pushhttp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	"lastmile/push"
)

// desk is where programs in other languages hand pushes in.
type desk struct {
	publisher *push.Publisher
	clerks    []clerk
	maxBytes  int64
	maxBatch  int
}

// clerk serves the programs that have one key.
type clerk struct {
	sum   [sha256.Size]byte // of the key: sums are compared in constant time
	only  filter
	limit *rate.Limiter
}

func newDesk(p *push.Publisher, cfg *Config) *desk {
	d := &desk{publisher: p, maxBytes: cfg.MaxPublishBytes, maxBatch: cfg.MaxBatch}
	for _, k := range cfg.PublishKeys {
		d.clerks = append(d.clerks, clerk{
			sum: sha256.Sum256([]byte(k.Key)), only: sorted(k.Actions), limit: rate.NewLimiter(rate.Limit(cfg.PublishRate), cfg.PublishBurst),
		})
	}
	return d
}

// clerk returns who serves a request. It compares with all keys, whichever fits.
func (d *desk) clerk(r *http.Request) *clerk {
	token, ok := bearer(r)
	if !ok {
		return nil
	}
	sum := sha256.Sum256([]byte(token))
	var found *clerk
	for i := range d.clerks {
		if subtle.ConstantTimeCompare(sum[:], d.clerks[i].sum[:]) == 1 {
			found = &d.clerks[i]
		}
	}
	return found
}

// message is a push as it is posted.
type message struct {
	Session  string          `json:"session"`
	Action   string          `json:"action"`
	Data     json.RawMessage `json:"data"`
	ID       string          `json:"id"`
	Replaces string          `json:"replaces"`
	Final    bool            `json:"final"`
}

// posted is the body of a request: one message, or a batch.
type posted struct {
	message

	Messages []message `json:"messages"`
}

// receipt tells what became of a push.
type receipt struct {
	ID         string   `json:"id"`
	Seq        push.Seq `json:"seq"`
	Duplicate  bool     `json:"duplicate"`
	Superseded bool     `json:"superseded"`
}

// outcome is a receipt or a problem.
type outcome struct {
	*receipt

	Problem *problem `json:"problem,omitempty"`
}

// batch is the answer to a batch.
type batch struct {
	// Failed comes first: a batch is not atomic, and its status is 200.
	Failed  int       `json:"failed"`
	Results []outcome `json:"results"`
}

// publish stores the pushes of a program with a key.
func (h *Handler) publish(w http.ResponseWriter, r *http.Request) {
	status := h.served(w, r)
	h.metrics.published.WithLabelValues(strconv.Itoa(status)).Inc()
}

// served answers the request and returns the status.
func (h *Handler) served(w http.ResponseWriter, r *http.Request) int {
	clerk := h.desk.clerk(r)
	if clerk == nil {
		p := newProblem(http.StatusUnauthorized, "key", "The bearer token is no key for publishing.")
		p.write(w, r)
		return p.Status
	}
	in, p := h.desk.read(w, r)
	if p != nil {
		p.write(w, r)
		return p.Status
	}
	if in.Messages == nil {
		if key := r.Header.Get("Idempotency-Key"); in.ID == "" && key != "" {
			in.ID = key
		}
		out := h.desk.store(r.Context(), clerk, in.message)
		if out.Problem != nil {
			out.Problem.write(w, r)
			return out.Problem.Status
		}
		writeJSON(w, http.StatusAccepted, out.receipt)
		return http.StatusAccepted
	}
	answer := batch{Results: make([]outcome, 0, len(in.Messages))}
	for _, m := range in.Messages {
		out := h.desk.store(r.Context(), clerk, m)
		if out.Problem != nil {
			answer.Failed++
		}
		answer.Results = append(answer.Results, out)
	}
	writeJSON(w, http.StatusOK, answer)
	return http.StatusOK
}

// read reads the body. A field that is misspelt must not be passed over.
func (d *desk) read(w http.ResponseWriter, r *http.Request) (posted, *problem) {
	var in posted
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return in, newProblem(http.StatusUnsupportedMediaType, "body", "The body must be application/json.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, d.maxBytes))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return in, newProblem(http.StatusRequestEntityTooLarge, "too-large", "The body has more than "+strconv.FormatInt(d.maxBytes, 10)+" bytes.")
	}
	if err != nil {
		return in, newProblem(http.StatusBadRequest, "body", "The body cannot be read.")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return in, newProblem(http.StatusBadRequest, "body", "The body is no message: "+err.Error())
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return in, newProblem(http.StatusBadRequest, "body", "The body is more than one JSON value.")
	}
	if in.Messages != nil && (in.Session != "" || in.Action != "") {
		return in, newProblem(http.StatusBadRequest, "body", "The body is one message or a batch, not both.")
	}
	if len(in.Messages) > d.maxBatch {
		return in, newProblem(http.StatusRequestEntityTooLarge, "too-large", "The batch has more than "+strconv.Itoa(d.maxBatch)+" messages.")
	}
	return in, nil
}

// store stores one push. The status of a problem says what to do: 400, 403, 410
// and 413 do not change, 429 is for later, and after 503 the push may be stored,
// so it is repeated with the same ID.
func (d *desk) store(ctx context.Context, c *clerk, m message) outcome {
	if !c.only.wants(m.Action) {
		return failed(m, newProblem(http.StatusForbidden, "action", "The key does not allow this action."))
	}
	if wait := c.wait(); wait > 0 {
		return failed(m, newProblem(http.StatusTooManyRequests, "rate", "There are too many pushes with this key.").again(wait))
	}
	r, err := d.publisher.Publish(ctx, push.Message{
		Session: m.Session, Action: m.Action, Data: m.Data, ID: m.ID, Replaces: m.Replaces, Final: m.Final,
	})
	if err != nil {
		m.ID = r.ID
		return failed(m, publishProblem(err))
	}
	return outcome{receipt: &receipt{ID: r.ID, Seq: r.Seq, Duplicate: r.Duplicate, Superseded: r.Superseded}}
}

// wait returns how long a push has to wait for its turn; zero takes it.
func (c *clerk) wait() time.Duration {
	if c.limit.Allow() {
		return 0
	}
	return time.Duration(math.Ceil(1/float64(c.limit.Limit()))) * time.Second
}

func failed(m message, p *problem) outcome {
	p.ID = m.ID
	return outcome{Problem: p}
}

func publishProblem(err error) *problem {
	switch {
	case errors.Is(err, push.ErrInvalid):
		return newProblem(http.StatusBadRequest, "invalid", err.Error())
	case errors.Is(err, push.ErrTooLarge):
		return newProblem(http.StatusRequestEntityTooLarge, "too-large", err.Error())
	case errors.Is(err, push.ErrSessionClosed):
		return newProblem(http.StatusGone, "session-closed", "The session is closed.")
	case errors.Is(err, push.ErrMailboxFull):
		return newProblem(http.StatusTooManyRequests, "mailbox-full", "Too many pushes wait for this session.").again(time.Second)
	}
	return newProblem(http.StatusServiceUnavailable, "unavailable", "It is not known whether the push is stored: repeat it with the same ID.").again(time.Second)
}
