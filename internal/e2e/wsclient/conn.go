package wsclient

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

const (
	// ackDelay coalesces acknowledgements, as the browser's client does.
	ackDelay = 80 * time.Millisecond
	// perSecond and burst are the pace of that client's clicks. It is below what
	// the server takes: beyond that it refuses them.
	perSecond = 12
	burst     = 20
	// maxSlack is how often the deadlines may double.
	maxSlack = 2
)

// deadline is how long the server may take for what takes a number of
// heartbeats. Each time that it was too short it doubles: the machine may be as
// slow as that, and a client that gives up each time would never get anywhere.
func (p *Page) deadline(heartbeats int) time.Duration {
	return time.Duration(heartbeats) * p.cfg.Heartbeat << p.slack.Load()
}

// late notes that a deadline was too short, if that is what err says.
func (p *Page) late(ctx context.Context, err error) {
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		p.slack.Store(min(p.slack.Load()+1, maxSlack))
	}
}

// hello is the first message of a connection.
type hello struct {
	Version  int    `json:"v"`
	Token    string `json:"t"`
	Hash     string `json:"h"`
	Manifest string `json:"f"`
	Applied  int    `json:"s"`
}

// message is any other message to the server.
type message struct {
	Action string         `json:"a,omitempty"`
	Data   map[string]any `json:"d,omitempty"`
	Number int            `json:"i,omitempty"`
	Ack    int            `json:"k,omitempty"`
	Query  int            `json:"q,omitempty"`
}

// frame is a message from the server.
type frame struct {
	Version  int             `json:"v"`
	Seq      int             `json:"s"`
	Token    string          `json:"t"`
	Remount  int             `json:"re"`
	Manifest string          `json:"f"`
	Patch    json.RawMessage `json:"p"`
	Root     json.RawMessage `json:"r"`
	Answered int             `json:"i"`
	Error    *Error          `json:"x"`
}

// Run connects, and connects again, until ctx ends.
func (p *Page) Run(ctx context.Context) {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		before := p.Stats().Connects
		_ = p.connection(ctx) // whatever ended it, the answer is another one
		if p.Stats().Connects > before {
			attempt = 0
		}
		pause := min(50*time.Millisecond<<min(attempt, 6), time.Second)
		timer := time.NewTimer(rand.N(pause)) //nolint:gosec // jitter
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// connection serves one WebSocket until it ends.
func (p *Page) connection(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dialCtx, stop := context.WithTimeout(ctx, p.deadline(1))
	defer stop()
	ws, res, err := websocket.Dial(dialCtx, "ws"+strings.TrimPrefix(p.cfg.URL, "http"), &websocket.DialOptions{HTTPClient: p.cfg.Client})
	if res != nil && res.Body != nil {
		_ = res.Body.Close()
	}
	if err != nil {
		p.late(ctx, err)
		return fmt.Errorf("wsclient: dial: %w", err)
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(8 << 20)
	if err := p.send(ctx, ws, p.hello()); err != nil {
		return err
	}
	heard := make(chan int, 1) // last frame rendered on this connection
	var welcome atomic.Bool    // its first frame has come
	failed := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		failed <- p.read(ctx, ws, heard, &welcome)
		cancel()
	}()
	err = p.write(ctx, ws, heard, &welcome)
	cancel()
	<-done
	p.mu.Lock()
	p.lost = time.Now()
	p.mu.Unlock()
	return errors.Join(err, <-failed)
}

func (p *Page) hello() hello {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := hello{Version: 1, Token: p.live.Token, Manifest: p.live.Manifest, Applied: p.applied}
	if p.applied == 0 {
		h.Hash = p.live.Hash
	}
	return h
}

func (p *Page) send(ctx context.Context, ws *websocket.Conn, m any) error {
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("wsclient: encode: %w", err)
	}
	writeCtx, cancel := context.WithTimeout(ctx, p.deadline(1))
	defer cancel()
	if err := ws.Write(writeCtx, websocket.MessageText, b); err != nil {
		p.late(ctx, err)
		return fmt.Errorf("wsclient: write: %w", err)
	}
	return nil
}

// read takes frames until the connection ends or is silent for two heartbeats.
func (p *Page) read(ctx context.Context, ws *websocket.Conn, heard chan int, welcome *atomic.Bool) error {
	last := 0
	for {
		p.awaitStall(ctx)
		readCtx, cancel := context.WithTimeout(ctx, p.deadline(2))
		_, b, err := ws.Read(readCtx)
		cancel()
		if err != nil {
			p.late(ctx, err)
			return fmt.Errorf("wsclient: read: %w", err)
		}
		p.cfg.Got(b)
		var f frame
		if err := json.Unmarshal(b, &f); err != nil {
			return fmt.Errorf("wsclient: frame %s: %w", b, err)
		}
		first := f.Version > 0 && !welcome.Load()
		if first {
			p.connected()
		}
		if f.Version > 0 {
			last = f.Seq - 1
		}
		if f.Seq > 0 && f.Seq != last+1 {
			return fmt.Errorf("wsclient: frame %d after %d", f.Seq, last)
		}
		last = max(last, f.Seq)
		p.apply(f)
		if f.Seq > 0 {
			replace(heard, last)
		}
		if first {
			welcome.Store(true)
			p.nudge() // unanswered clicks go out again
		}
	}
}

// replace makes n what ch holds.
func replace(ch chan int, n int) {
	select {
	case <-ch:
	default:
	}
	ch <- n
}

func (p *Page) connected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Connects++
	if !p.lost.IsZero() {
		p.stats.Down = max(p.stats.Down, time.Since(p.lost))
	}
}

func (p *Page) apply(f frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.Remount > 0 {
		p.stats.Remounts++
		clear(p.waiting)
	}
	p.live.Token = cmp.Or(f.Token, p.live.Token)
	p.live.Manifest = cmp.Or(f.Manifest, p.live.Manifest)
	if f.Error != nil {
		delete(p.waiting, f.Error.Number)
		p.stats.Errors = append(p.stats.Errors, *f.Error)
	}
	maps.DeleteFunc(p.waiting, func(n int, _ message) bool { return n <= f.Answered })
	if f.Seq > 0 {
		p.applied = f.Seq
	}
	for _, raw := range []json.RawMessage{f.Root, f.Patch} {
		if text, ok := lastString(raw); ok {
			p.text = text
			p.stats.Frames++
			p.cfg.Show(p.stats.Remounts, text)
		}
	}
}

// lastString returns the only unit's text in a patch or snapshot.
func lastString(raw json.RawMessage) (string, bool) {
	if raw == nil {
		return "", false
	}
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return "", false
	}
	var find func(v any) (string, bool)
	find = func(v any) (string, bool) {
		switch v := v.(type) {
		case string:
			return v, true
		case []any:
			for _, e := range slices.Backward(v) {
				if s, ok := find(e); ok {
					return s, true
				}
			}
		}
		return "", false
	}
	return find(v)
}

// write sends clicks as fast as the pace allows, acknowledgements after a moment,
// and heartbeats.
func (p *Page) write(ctx context.Context, ws *websocket.Conn, heard <-chan int, welcome *atomic.Bool) error {
	beat := time.NewTicker(p.cfg.Heartbeat)
	defer beat.Stop()
	sent, rendered := 0, 0
	var due, more <-chan time.Time
	for {
		var out []message
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-beat.C:
			out = append(out, message{})
		case rendered = <-heard:
			if due == nil {
				due = time.After(ackDelay)
			}
			continue
		case <-due:
			due = nil
			out = append(out, message{Ack: rendered})
		case <-p.wake:
		case <-more:
		}
		if out == nil && welcome.Load() {
			var held bool
			out, sent, held = p.unsent(sent)
			more = nil
			if held {
				more = time.After(time.Second / perSecond)
			}
		}
		for _, m := range out {
			if err := p.send(ctx, ws, m); err != nil {
				return err
			}
		}
	}
}

// unsent returns clicks above the number, in order, and the highest. held says
// that the pace has held some back.
func (p *Page) unsent(above int) (out []message, last int, held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(p.waiting)) {
		if n <= above {
			continue
		}
		if !p.pace.Allow() {
			return out, above, true
		}
		out = append(out, p.waiting[n])
		above = n
	}
	return out, above, false
}
