package live

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"

	"lastmile/push"
)

// Deps is what a Hub stands on. Node and Publisher must use the same transport.
type Deps struct {
	// Node feeds the pushes of this web process. The program runs it.
	Node *push.Node
	// Publisher makes the sessions that actions get.
	Publisher *push.Publisher
	// States keeps what connections must not lose.
	States push.States
	// Broker carries topics. Without one Context.Subscribe and
	// Context.Publish return ErrTopic.
	Broker push.Broker
}

// Config tunes a Hub. The zero value is ready for production on one node;
// several nodes must share a Secret.
type Config struct {
	// Secret signs connection tokens and cookies, so that a browser can resume
	// on any node that has the same one. At least 32 bytes. Defaults to a random
	// one, with a warning: then connections of other nodes mount anew, and
	// sessions of the cookie end with the process.
	Secret []byte
	// Authenticator names a request's user and session. Defaults to an
	// anonymous session kept in a cookie.
	Authenticator Authenticator
	// IdentifyEvery is how often, at least, the Authenticator is asked again
	// about an open connection, by a copy of the request that opened it. Another
	// answer ends the connection, and the browser loads the page again. Defaults
	// to 1 minute.
	IdentifyEvery time.Duration
	// CookieName names the session cookie. Under TLS the prefix __Host- comes
	// before it. Defaults to "lastmile".
	CookieName string
	// AllowedOrigins are origins besides the page's own that may connect and
	// post, such as "https://www.example.com". Defaults to none.
	AllowedOrigins []string
	// Topics decides who may subscribe to and publish on a topic: nil allows.
	// A page that reconnects is asked about its subscriptions again.
	// A session's own topic (Context.SelfTopic) needs no permission. Defaults
	// to refusing all others.
	Topics func(who Identity, topic string) error

	// MaxMessageBytes bounds one message of a browser, and a form posted
	// without JavaScript. Defaults to 64 KiB.
	MaxMessageBytes int
	// MessageRate and MessageBurst bound a connection's actions a second.
	// They default to 20 and 40.
	MessageRate  float64
	MessageBurst int
	// MaxStateBytes bounds a state as JSON: an action that makes it larger
	// fails. Defaults to 1 MiB.
	MaxStateBytes int
	// MaxConns and MaxSessionConns bound the connections of this node, in all
	// and of one session. They default to 100,000 and 32.
	MaxConns        int
	MaxSessionConns int
	// FullAt is the share of the store's memory from which on visitors without a
	// UserID get no new connection, so that strangers cannot fill it up: their
	// pages are served, the script tries again until there is room, and a form
	// posted without it is answered by 503. Who is connected, or comes back to a
	// page that is kept, stays. It needs a store that knows its bound (push.Filled;
	// of Redis, maxmemory); above 1 nobody is turned away. Defaults to 0.9.
	FullAt float64

	// ActionTimeout ends the Context of an action. Defaults to 10 seconds.
	ActionTimeout time.Duration
	// StoreTimeout bounds one call to the StateStore. Defaults to 2 seconds.
	StoreTimeout time.Duration
	// CommitDelay is how long the effect of pushes may wait to be stored
	// together. Losing it costs nothing, the mailbox still has them. Defaults
	// to 20 milliseconds.
	CommitDelay time.Duration
	// WriteTimeout is how long a browser may take nothing off the wire before
	// its connection is cut. Its pushes stay in the mailbox. Defaults to 10
	// seconds.
	WriteTimeout time.Duration
	// Heartbeat is how often a browser shows that it lives; a connection
	// silent for 3.6 of them is cut. Defaults to 25 seconds.
	Heartbeat time.Duration
	// FirstTTL is how long the state of a page that was served, but has not
	// connected, is kept. Defaults to 2 minutes.
	FirstTTL time.Duration
	// ResumeTTL is how long the state of a lost connection is kept. Defaults
	// to 1 hour.
	ResumeTTL time.Duration
	// SharedTTL is how long persisted fields are kept after their last
	// change. Defaults to 30 days.
	SharedTTL time.Duration

	// RetryTries is how often a failing push is tried, RetryBase and RetryMax
	// shape the waits between. They default to 8, 50 milliseconds and 5
	// seconds.
	RetryTries          int
	RetryBase, RetryMax time.Duration
	// DrainTimeout bounds the clean end of all connections when Run's context
	// ends. Defaults to 10 seconds.
	DrainTimeout time.Duration

	// Dev shows error texts in the page. Defaults to hiding them.
	Dev bool
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Registerer receives the live_* metrics. Defaults to none.
	Registerer prometheus.Registerer
	// TracerProvider makes a span for each action. Defaults to
	// otel.GetTracerProvider().
	TracerProvider trace.TracerProvider
}

// silence is how many heartbeats a connection may miss: browsers let a hidden
// page act once a minute only.
const silence = 3.6

func (d *Deps) check() error {
	switch {
	case d.Node == nil:
		return errors.New("live: Deps: no Node")
	case d.Publisher == nil:
		return errors.New("live: Deps: no Publisher")
	case d.States == nil:
		return errors.New("live: Deps: no States")
	default:
		return nil
	}
}

// fill checks the settings and sets the defaults.
func (c *Config) fill() error {
	if err := c.nonNegative(); err != nil {
		return err
	}
	for _, o := range c.AllowedOrigins {
		if u, err := url.Parse(o); err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" {
			return fmt.Errorf("live: Config: AllowedOrigins: %q is not of the form https://host", o)
		}
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	switch {
	case len(c.Secret) == 0:
		c.Logger.Warn("no secret for tokens and cookies: browsers mount anew on another node, and sessions of the cookie end with the process")
		c.Secret = make([]byte, 32)
		_, _ = rand.Read(c.Secret) // it never fails
	case len(c.Secret) < 32:
		return fmt.Errorf("live: Config: Secret has %d bytes, at least 32 are needed", len(c.Secret))
	}
	if c.TracerProvider == nil {
		c.TracerProvider = otel.GetTracerProvider()
	}
	c.fillLimits()
	return nil
}

func (c *Config) nonNegative() error {
	for name, v := range map[string]float64{
		"MaxMessageBytes": float64(c.MaxMessageBytes), "MessageRate": c.MessageRate, "MessageBurst": float64(c.MessageBurst),
		"MaxStateBytes": float64(c.MaxStateBytes), "MaxConns": float64(c.MaxConns), "MaxSessionConns": float64(c.MaxSessionConns),
		"ActionTimeout": float64(c.ActionTimeout), "StoreTimeout": float64(c.StoreTimeout), "CommitDelay": float64(c.CommitDelay),
		"WriteTimeout": float64(c.WriteTimeout), "Heartbeat": float64(c.Heartbeat), "FirstTTL": float64(c.FirstTTL),
		"ResumeTTL": float64(c.ResumeTTL), "SharedTTL": float64(c.SharedTTL), "RetryTries": float64(c.RetryTries),
		"RetryBase": float64(c.RetryBase), "RetryMax": float64(c.RetryMax), "DrainTimeout": float64(c.DrainTimeout),
		"IdentifyEvery": float64(c.IdentifyEvery), "FullAt": c.FullAt,
	} {
		if v < 0 {
			return fmt.Errorf("live: Config: %s must not be negative", name)
		}
	}
	return nil
}

func (c *Config) fillLimits() {
	c.MaxMessageBytes = cmp.Or(c.MaxMessageBytes, 64<<10)
	c.MessageRate = cmp.Or(c.MessageRate, 20)
	c.MessageBurst = cmp.Or(c.MessageBurst, 40)
	c.MaxStateBytes = cmp.Or(c.MaxStateBytes, 1<<20)
	c.MaxConns = cmp.Or(c.MaxConns, 100_000)
	c.MaxSessionConns = cmp.Or(c.MaxSessionConns, 32)
	c.FullAt = cmp.Or(c.FullAt, 0.9)
	c.ActionTimeout = cmp.Or(c.ActionTimeout, 10*time.Second)
	c.StoreTimeout = cmp.Or(c.StoreTimeout, 2*time.Second)
	c.CommitDelay = cmp.Or(c.CommitDelay, 20*time.Millisecond)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 10*time.Second)
	c.Heartbeat = cmp.Or(c.Heartbeat, 25*time.Second)
	c.FirstTTL = cmp.Or(c.FirstTTL, 2*time.Minute)
	c.ResumeTTL = cmp.Or(c.ResumeTTL, time.Hour)
	c.SharedTTL = cmp.Or(c.SharedTTL, 30*24*time.Hour)
	c.RetryTries = cmp.Or(c.RetryTries, 8)
	c.RetryBase = cmp.Or(c.RetryBase, 50*time.Millisecond)
	c.RetryMax = cmp.Or(c.RetryMax, 5*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 10*time.Second)
	c.IdentifyEvery = cmp.Or(c.IdentifyEvery, time.Minute)
}
