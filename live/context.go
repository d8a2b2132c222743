package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"sync"

	"lastmile/push"
)

// Reason says why a connection ended. Context.Reason returns it to
// OnDisconnect.
type Reason string

// The reasons.
const (
	// ReasonClosed: the browser left the page.
	ReasonClosed Reason = "closed"
	// ReasonLost: the connection broke, or went silent.
	ReasonLost Reason = "lost"
	// ReasonSlow: the browser took nothing off the wire for too long.
	ReasonSlow Reason = "slow"
	// ReasonShutdown: this node is stopping; the browser goes to another.
	ReasonShutdown Reason = "shutdown"
	// ReasonTaken: the browser, or a copy of the tab, connected again.
	ReasonTaken Reason = "taken"
	// ReasonPolicy: the browser broke a limit or the protocol.
	ReasonPolicy Reason = "policy"
	// ReasonIdentity: the browser is somebody else now, or nobody any more, or
	// Hub.Disconnect was called, or Mount sends it elsewhere.
	ReasonIdentity Reason = "identity"
	// ReasonSessionClosed: the session was closed for good.
	ReasonSessionClosed Reason = "session-closed"
)

var (
	// ErrEnded means that a Context was used to act on the page after its
	// action had returned. Trigger a push instead.
	ErrEnded = errors.New("live: the action has ended")

	// ErrTopic means that a topic is not allowed, or not a valid name.
	ErrTopic = errors.New("live: topic refused")

	// ErrNavigate means that an address to go to is not a local path or an
	// absolute http(s) address.
	ErrNavigate = errors.New("live: address refused")
)

// stdContext keeps the embedded context out of Context's exported fields.
type stdContext = context.Context

// Context is what an action gets besides its state: a context.Context that
// ends when the action returns or its time is over, the action's data, and the
// ways to affect the page beyond its state. Reading from it is safe from any
// goroutine, also later; acting on the page (SetFlash, Redirect, Publish ...)
// is for the action itself and takes effect only when the action's state is
// kept.
type Context struct {
	stdContext
	page    *page
	hub     *Hub
	who     *visitor
	request Request // as it was when the action began
	inv     invocation

	mu    sync.Mutex
	ended bool
	fx    effects
}

// visitor is who looks at a page, and by which connection.
type visitor struct {
	Identity
	view    string
	conn    string
	request Request
	reason  Reason
	// topics are the subscriptions of the connection.
	topics map[string]bool
}

// source says what caused an action.
type source string

const (
	sourceClick   source = "click"
	sourceForm    source = "form"
	sourcePush    source = "push"
	sourceTopic   source = "topic"
	sourceMount   source = "mount"
	sourceConnect source = "connect"
	sourceLeave   source = "disconnect"
	sourceLoad    source = "load"
)

// invocation is one run of a controller method.
type invocation struct {
	source source
	action string
	data   json.RawMessage
	cause  cause
	pushID string
	parent string // traceparent
}

// effects is what an action did besides changing its state.
type effects struct {
	flashes   []Flash
	events    []event
	navigate  *navigate
	patch     *patch
	publishes []topicMessage
	// topics maps a topic to whether it was subscribed or unsubscribed.
	topics map[string]bool
}

// add gathers the effects of a later run.
func (fx *effects) add(later effects) {
	fx.flashes = append(fx.flashes, later.flashes...)
	fx.events = append(fx.events, later.events...)
	fx.publishes = append(fx.publishes, later.publishes...)
	if later.navigate != nil {
		fx.navigate = later.navigate
	}
	if later.patch != nil {
		fx.patch = fx.patch.then(*later.patch)
	}
	if fx.topics == nil {
		fx.topics = later.topics
	} else {
		maps.Copy(fx.topics, later.topics)
	}
}

// Visible implements delivery.Effects.
func (fx *effects) Visible() bool {
	return len(fx.flashes) > 0 || len(fx.events) > 0 || fx.navigate != nil || fx.patch != nil
}

// event is a DOM event for the page's own scripts.
type event struct {
	name   string
	detail json.RawMessage
}

func (e event) MarshalJSON() ([]byte, error) { return json.Marshal([2]any{e.name, e.detail}) }

func (e *event) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[2]any{&e.name, &e.detail})
}

// navigate tells the browser to go elsewhere.
type navigate struct {
	URL     string `json:"u"`
	Replace bool   `json:"r,omitempty"`
}

func newContext(ctx context.Context, p *page, who *visitor, inv invocation) *Context {
	return &Context{stdContext: ctx, page: p, hub: p.hub, who: who, request: who.request, inv: inv}
}

// Session addresses the session that this page belongs to. It may be kept and
// used later, from any goroutine: that is what pushes are for.
func (c *Context) Session() push.Session { return c.hub.deps.Publisher.Session(c.who.Session) }

// ConnectionID names the connection (the tab). It is empty while a form posted
// without JavaScript is handled. It is stable over reconnects, until the page
// has to mount anew.
func (c *Context) ConnectionID() string { return c.who.conn }

// UserID returns the user that the Authenticator named, or "".
func (c *Context) UserID() string { return c.who.UserID }

// Action returns the name of the running method.
func (c *Context) Action() string { return c.inv.action }

// PushID returns the ID of the push that caused the action, or "" when a
// browser did. It is the same in every repeated run and in every tab: use it to
// make effects outside the state happen once.
func (c *Context) PushID() string { return c.inv.pushID }

// ActionID names what caused the action, whatever it was. It is the same in
// every repeated run for the same cause; for a push it is also the same in
// every tab of the same view.
func (c *Context) ActionID() string { return c.inv.cause.id() }

// Reason tells OnDisconnect why the connection ended; elsewhere it is "".
func (c *Context) Reason() Reason { return c.who.reason }

// Request returns what is known of the request that opened the page or its
// connection. Its query is the one that the page has now, see PatchURL.
func (c *Context) Request() Request { return c.request }

// SetFlash shows a short message to the user once. kind is the layout's to
// style, such as "info" or "error". It works without JavaScript, and also when
// the action fails.
func (c *Context) SetFlash(kind, text string) {
	_ = c.affect(func(fx *effects) error { // nobody is there any more to see it
		if len(fx.flashes) < maxFlashes {
			fx.flashes = append(fx.flashes, Flash{kind, text})
		}
		return nil
	})
}

// Emit dispatches a DOM event of that name on the page's container, for the
// page's own scripts. Without JavaScript it does nothing.
func (c *Context) Emit(name string, detail any) error {
	b, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("live: emit %q: %w", name, err)
	}
	return c.affect(func(fx *effects) error {
		fx.events = append(fx.events, event{name, b})
		return nil
	})
}

// Navigate sends the browser to a path of this site, as a link would.
func (c *Context) Navigate(path string) error {
	if !localPath(path) {
		return fmt.Errorf("%w: %q is not a path of this site", ErrNavigate, path)
	}
	return c.leave(navigate{URL: path})
}

// Redirect sends the browser to a local path or an absolute http(s) address,
// leaving no entry in its history. From Mount, and from OnURL behind it, it answers
// the request itself with a redirect, and there is no page for whoever connects in
// another way. Never pass an address that a user chose unchecked.
func (c *Context) Redirect(address string) error {
	if u, err := url.Parse(address); !localPath(address) &&
		(err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "") {
		return fmt.Errorf("%w: %q", ErrNavigate, address)
	}
	return c.leave(navigate{URL: address, Replace: true})
}

func (c *Context) leave(n navigate) error {
	return c.affect(func(fx *effects) error {
		fx.navigate = &n
		return nil
	})
}

// localPath tells a path of this site. Browsers read a backslash as a slash and
// drop control characters, so a name with one may turn into another site.
func localPath(p string) bool {
	if p == "" || (p[0] != '/' && p[0] != '?') || (len(p) > 1 && p[0] == '/' && p[1] == '/') {
		return false
	}
	for _, b := range []byte(p) {
		if b < ' ' || b == '\\' || b == 0x7f {
			return false
		}
	}
	return true
}

// affect changes the effects while the action runs.
func (c *Context) affect(f func(*effects) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return ErrEnded
	}
	return f(&c.fx)
}

// end closes the Context to further effects and returns those it has.
func (c *Context) end() effects {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	return c.fx
}
