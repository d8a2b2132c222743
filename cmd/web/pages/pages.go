// Package pages shows the sources of a push beside background jobs: a slow load
// that starts with the page, a timer, a webhook, and a topic that fans out to
// everybody who looks.
package pages

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"

	"lastmile/cmd/web/ui"
	"lastmile/live"
	"lastmile/push"
)

//go:embed *.html
var templates embed.FS

// Deps is what the pages stand on.
type Deps struct {
	Hub       *live.Hub
	Publisher *push.Publisher
	UI        *ui.UI
	// Group runs what actions start beyond their end.
	Group *Group
	// Secret signs webhook addresses; all nodes share it.
	Secret []byte
	// PublicURL is how the outside reaches this program.
	PublicURL *url.URL
	// Log may be nil: then slog.Default() is used.
	Log *slog.Logger
}

// Register adds the pages and the webhook's receiver to mux.
func Register(mux *http.ServeMux, d Deps) error {
	if d.Log == nil {
		d.Log = slog.Default()
	}
	seal, err := newSealer(d.Secret)
	if err != nil {
		return err
	}
	hooks := &Hooks{seal: seal, publisher: d.Publisher, log: d.Log}
	mux.Handle("POST /hooks/{token}", hooks)
	return errors.Join(
		add(mux, d, "slow", "Slow load", &Controller{}, State{}),
		add(mux, d, "timer", "Timer", &Timer{group: d.Group, log: d.Log}, TimerState{}, "Tick", "Rang", "Halted"),
		add(mux, d, "webhook", "Webhook", &Webhook{seal: seal, base: d.PublicURL}, WebhookState{}, "Hooked"),
		add(mux, d, "board", "Board", &Board{}, BoardState{}, "Said"),
	)
}

// Topics allows what the pages subscribe to; see live.Config.
func Topics(_ live.Identity, topic string) error {
	if topic != boardTopic {
		return fmt.Errorf("no page uses the topic %q", topic)
	}
	return nil
}

func add[S any](mux *http.ServeMux, d Deps, name, title string, controller any, initial S, pushOnly ...string) error {
	text, err := templates.ReadFile(name + ".html")
	if err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	tmpl, err := template.New(name).Funcs(ui.Funcs()).Parse(string(text))
	if err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	page, err := live.NewView(d.Hub, name, controller, initial, tmpl, live.ViewConfig{Title: title, Layout: d.UI.Layout(), PushOnly: pushOnly, Pure: ui.Pure()})
	if err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	mux.Handle("/"+name, page)
	return nil
}

// Group runs functions that outlive the action which started them, until the
// program stops.
type Group struct {
	work chan func(context.Context)
	done chan struct{}
}

// NewGroup returns a group that works once Run is called.
func NewGroup() *Group {
	return &Group{work: make(chan func(context.Context)), done: make(chan struct{})}
}

// Run runs the functions given to Go. When ctx ends their contexts end, and Run
// returns once they have.
func (g *Group) Run(ctx context.Context) error {
	ended := make(chan struct{})
	running := 0
	defer close(g.done)
	for {
		select {
		case f := <-g.work:
			running++
			go func() {
				f(ctx)
				ended <- struct{}{}
			}()
		case <-ended:
			running--
		case <-ctx.Done():
			for ; running > 0; running-- {
				<-ended
			}
			return nil
		}
	}
}

// ErrStopping means that the group takes no more work.
var ErrStopping = errors.New("pages: the program is stopping")

// Go runs f on its own goroutine. It waits for Run to be called.
func (g *Group) Go(ctx context.Context, f func(context.Context)) error {
	select {
	case g.work <- f:
		return nil
	case <-g.done:
		return ErrStopping
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
