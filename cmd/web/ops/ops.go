// Package ops is the operator's page, a live view like any other: the nodes that
// listen, the pending pushes, the job queues, and the dead letters, which
// can be read, replayed and purged. It shows parts of other people's pushes:
// mount it behind authentication.
package ops

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"strings"
	"time"

	"lastmile/cmd/web/ui"
	"lastmile/live"
	"lastmile/push"
	"lastmile/push/redisstream"
)

//go:embed page.html
var pageHTML string

// Topic is what the page subscribes to; see live.Config.Topics.
const Topic = "ops"

// refreshEvery is how often the page looks again.
const refreshEvery = 3 * time.Second

// Store is the mailboxes' own view of themselves; *redisstream.Transport is one.
type Store interface {
	Stats(ctx context.Context) (redisstream.Stats, error)
	Warnings(ctx context.Context) []string
}

// Queue is a job queue's sizes.
type Queue struct {
	Name                                        string
	Pending, Active, Scheduled, Retry, Archived int
	Paused                                      bool
	Latency                                     time.Duration
}

// Deps is what the page stands on.
type Deps struct {
	Hub   *live.Hub
	Store Store
	Dead  push.DeadLetters
	// Queues lists the job queues.
	Queues func(ctx context.Context) ([]Queue, error)
	UI     *ui.UI
	// Embedded says that Redis lives in this process: then its warnings are
	// not news.
	Embedded bool
	// Node is this process's own name.
	Node string
	// Log may be nil: then slog.Default() is used.
	Log *slog.Logger
}

// Letter is a dead letter in the list.
type Letter struct {
	ID, Action, Session, Error string
	Reason                     push.Reason
	At                         time.Time
}

// Detail is the dead letter that is open.
type Detail struct {
	Letter
	PushID, Node, Data string
	Attempts           int
	Sent               time.Time
}

// State is the page.
type State struct {
	Node     string
	At       time.Time
	Stats    redisstream.Stats
	Queues   []Queue
	Warnings []string
	Letters  []Letter
	Reason   push.Reason
	Open     *Detail
	// Confirm asks once more before a purge.
	Confirm bool
}

// Reasons are the choices of the filter.
func (s State) Reasons() []push.Reason {
	return []push.Reason{
		push.ReasonError, push.ReasonPanic, push.ReasonTimeout, push.ReasonRejected,
		push.ReasonDecode, push.ReasonCrashLoop, push.ReasonExpired, push.ReasonUnknownAction,
	}
}

// Ops is the page's controller.
type Ops struct{ d Deps }

// New returns the page; run [Ops.Run] beside the hub.
func New(d Deps) (*Ops, *live.View[State], error) {
	if d.Log == nil {
		d.Log = slog.Default()
	}
	tmpl, err := template.New("ops").Funcs(ui.Funcs()).Parse(pageHTML)
	if err != nil {
		return nil, nil, fmt.Errorf("ops: %w", err)
	}
	o := &Ops{d}
	view, err := live.NewView(d.Hub, "ops", &controller{d}, State{Node: d.Node}, tmpl, live.ViewConfig{
		Title: "Operations", Layout: d.UI.Layout(), PushOnly: []string{"OpsTick"}, Pure: ui.Pure(),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("ops: %w", err)
	}
	return o, view, nil
}

// Run makes open pages look again every few seconds, until ctx ends.
func (o *Ops) Run(ctx context.Context) error {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := o.d.Hub.Publish(ctx, Topic, "OpsTick", nil); err != nil && ctx.Err() == nil {
				o.d.Log.DebugContext(ctx, "operations page not refreshed", "error", err)
			}
		}
	}
}

// controller holds the actions.
type controller struct{ d Deps }

// Mount looks around.
func (c *controller) Mount(s State, ctx *live.Context) (State, error) { return c.look(s, ctx) }

// OnConnect follows the ticks of Run.
func (c *controller) OnConnect(s State, ctx *live.Context) (State, error) {
	return s, ctx.Subscribe(Topic)
}

// OpsTick looks again. Every node ticks, so a tick shortly after another one is
// left out.
func (c *controller) OpsTick(s State, ctx *live.Context) (State, error) {
	if time.Since(s.At) < refreshEvery/2 {
		return s, nil
	}
	return c.look(s, ctx)
}

// Filter lists the dead letters of one reason, or all.
func (c *controller) Filter(s State, ctx *live.Context) (State, error) {
	s.Reason, s.Open, s.Confirm = push.Reason(ctx.GetString("reason")), nil, false
	return c.look(s, ctx)
}

// Show opens a dead letter.
func (c *controller) Show(s State, ctx *live.Context) (State, error) {
	l, err := c.d.Dead.Get(ctx, ctx.GetString("id"))
	if errors.Is(err, push.ErrNotFound) {
		ctx.SetFlash("error", "This dead letter is gone.")
		return c.look(s, ctx)
	}
	if err != nil {
		return s, err
	}
	s.Open = &Detail{
		Letter: letter(l), PushID: l.Entry.ID, Node: l.Node, Data: indent(l.Entry.Data),
		Attempts: l.Attempts, Sent: l.Entry.Seq.Time(),
	}
	return s, nil
}

// Close puts the open dead letter away.
func (c *controller) Close(s State, _ *live.Context) (State, error) {
	s.Open, s.Confirm = nil, false
	return s, nil
}

// Replay sends a dead letter to its session again.
func (c *controller) Replay(s State, ctx *live.Context) (State, error) {
	id := ctx.GetString("id")
	switch r, err := c.d.Dead.Replay(ctx, id); {
	case errors.Is(err, push.ErrNotFound):
		ctx.SetFlash("error", "This dead letter is gone.")
	case errors.Is(err, push.ErrMailboxFull), errors.Is(err, push.ErrSessionClosed):
		ctx.SetFlash("error", fmt.Sprintf("Not replayed: %v.", err))
		return s, nil
	case err != nil:
		return s, err
	case r.Nodes > 0:
		ctx.SetFlash("info", "Replayed to a page that is open.")
	default:
		ctx.SetFlash("info", "Replayed. It waits for the next page of its session.")
	}
	s.Open = nil
	return c.look(s, ctx)
}

// Purge removes the dead letters that are listed, after asking once more.
func (c *controller) Purge(s State, ctx *live.Context) (State, error) {
	if !s.Confirm {
		s.Confirm = true
		return s, nil
	}
	n, err := c.d.Dead.Purge(ctx, push.DeadQuery{Reason: s.Reason})
	if err != nil {
		return s, err
	}
	ctx.SetFlash("info", fmt.Sprintf("%d dead letters removed.", n))
	s.Confirm, s.Open = false, nil
	return c.look(s, ctx)
}

// maxLetters bounds the list.
const maxLetters = 50

func (c *controller) look(s State, ctx context.Context) (State, error) { //nolint:revive // state first, as in actions
	stats, err := c.d.Store.Stats(ctx)
	if err != nil {
		return s, err
	}
	queues, err := c.d.Queues(ctx)
	if err != nil {
		return s, err
	}
	dead, err := c.d.Dead.List(ctx, push.DeadQuery{Reason: s.Reason, Limit: maxLetters})
	if err != nil {
		return s, err
	}
	s.At, s.Stats, s.Queues = time.Now(), stats, queues
	if s.Warnings = []string{"it is embedded, and all data dies with this process"}; !c.d.Embedded {
		s.Warnings = c.d.Store.Warnings(ctx)
	}
	s.Letters = make([]Letter, len(dead))
	for i, l := range dead {
		s.Letters[i] = letter(l)
	}
	return s, nil
}

func letter(l push.DeadLetter) Letter {
	return Letter{
		ID: l.ID, Action: l.Entry.Action, Session: push.Redact(l.Entry.Session), Error: l.Error, Reason: l.Reason, At: l.At,
	}
}

// indent lays data out for reading, cut where it gets long.
func indent(data json.RawMessage) string {
	const limit = 16 << 10
	var v any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	text := string(data)
	if dec.Decode(&v) == nil {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false) // the template does it
		enc.SetIndent("", "  ")
		if enc.Encode(v) == nil {
			text = strings.TrimSpace(b.String())
		}
	}
	if len(text) > limit {
		return strings.ToValidUTF8(text[:limit], "") + "\n… cut after 16 KB"
	}
	return text
}
