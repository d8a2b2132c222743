package pushhttp

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/push"
	"lastmile/push/cookie"
)

// ErrUnavailable is for an Authenticator that cannot tell now, because what it
// asks does not answer. The reader is told to come back; after any other error
// it is refused.
var ErrUnavailable = errors.New("pushhttp: session not known at the moment")

// Authenticator names the session of a request: an unguessable secret of 16 to
// push.MaxIDLen bytes. It may set a cookie. It is called from many goroutines.
// An error refuses the request with status 401, or 503 if it wraps
// ErrUnavailable. Where live pages have an Authenticator of their own, their
// Hub.SessionOf tells the same session.
type Authenticator func(w http.ResponseWriter, r *http.Request) (session string, err error)

// Deps is what a Handler stands on.
type Deps struct {
	// Node feeds the pushes of this process. The program runs it.
	Node *push.Node
	// Publisher stores what POST publish takes. Needed with Config.PublishKeys
	// alone; it must use the Node's store.
	Publisher *push.Publisher
	// Broker carries topics, see Config.Topics. Without one nobody follows any.
	Broker push.Broker
}

// PublishKey lets a program in another language publish.
type PublishKey struct {
	// Key is the bearer token that it sends, at least 32 characters.
	Key string
	// Actions are what it may push. None means all.
	Actions []string
}

// Config tunes a Handler. The zero value is ready for production on one node;
// several nodes must share Secrets.
type Config struct {
	// Secrets sign cursors and seal tokens, each at least 32 bytes: the first
	// one makes them, all are accepted, so a new one is added at the end first, on
	// every node, and then moved to the front. Defaults to a random one, with a
	// warning: then a reader that comes back to another process starts anew.
	Secrets [][]byte
	// Authenticator names the session of requests without a bearer token. Defaults
	// to an anonymous session kept in a signed cookie (package push/cookie): the
	// one that live pages with the first of the Secrets have.
	Authenticator Authenticator
	// RequireActions refuses readers that name no actions. Set it where the same
	// sessions have live pages: a reader of all actions takes what was meant for a
	// page that is not open. Defaults to false.
	RequireActions bool
	// Topics decides whether a reader of a session may follow a topic (?topics=a,b)
	// while it is connected: nil allows. What publishers and pages say there comes
	// to it as events without an ID, at most once. Defaults to refusing all.
	Topics func(session, topic string) error
	// Render makes the fragment of a push for readers that ask for HTML
	// (?as=html, ?as=datastar). What it has no fragment for (false) is passed
	// over, as if a filter had left it out. Defaults to none: then there are no
	// such readers.
	Render func(push.Entry) (html string, ok bool)
	// AllowedOrigins are origins besides the page's own that may read and
	// confirm, with the user's cookies, such as "https://www.example.com".
	// Defaults to none.
	AllowedOrigins []string

	// AckAfter is how long an event counts as not delivered after it was
	// written to a reader that can only listen. Defaults to 10 seconds.
	AckAfter time.Duration
	// Heartbeat is how often something is written to an idle connection, give or
	// take a fifth: proxies cut silent ones. Defaults to 20 seconds.
	Heartbeat time.Duration
	// MaxWait bounds the wait of a long poll. Defaults to 25 seconds.
	MaxWait time.Duration
	// WriteTimeout is how long a reader may take nothing off the wire before its
	// connection is cut. Its pushes stay in the mailbox. Defaults to 10 seconds.
	WriteTimeout time.Duration
	// MaxReaders and MaxSessionReaders bound the readers of this process, in all
	// and of one session. They default to 10,000 and 16.
	MaxReaders, MaxSessionReaders int
	// DrainTimeout bounds the clean end of all readers when Run's context ends.
	// Defaults to 10 seconds.
	DrainTimeout time.Duration

	// PublishKeys turn POST publish on. Several allow for the replacement of one.
	// Defaults to none: then there is no such endpoint.
	PublishKeys []PublishKey
	// PublishRate and PublishBurst bound the pushes of one key a second. They
	// default to 200 and 1,000.
	PublishRate  float64
	PublishBurst int
	// MaxPublishBytes and MaxBatch bound one request. They default to 1 MiB and
	// 100 pushes.
	MaxPublishBytes int64
	MaxBatch        int

	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Registerer receives the pushhttp_* metrics. Defaults to none.
	Registerer prometheus.Registerer
}

const (
	// minSessionLen keeps session IDs that are short enough to guess out.
	minSessionLen = 16
	// minPublishKey keeps keys that are short enough to guess out.
	minPublishKey = 32
)

func (c *Config) fill(d Deps) error {
	if min(c.AckAfter, c.Heartbeat, c.MaxWait, c.WriteTimeout, c.DrainTimeout) < 0 ||
		min(c.MaxReaders, c.MaxSessionReaders, c.PublishBurst, c.MaxBatch) < 0 || c.PublishRate < 0 || c.MaxPublishBytes < 0 {
		return errors.New("pushhttp: Config: no setting may be negative")
	}
	for _, o := range c.AllowedOrigins {
		if u, err := url.Parse(o); err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" {
			return fmt.Errorf("pushhttp: Config: AllowedOrigins: %q is not of the form https://host", o)
		}
	}
	c.Secrets = slices.Clone(c.Secrets)
	if len(c.Secrets) == 0 {
		cmp.Or(c.Logger, slog.Default()).Warn("no secret for cursors, tokens and cookies: readers that come back to another process start anew")
		random := make([]byte, minSecret)
		_, _ = rand.Read(random) // it never fails
		c.Secrets = [][]byte{random}
	}
	if c.Authenticator == nil {
		sessions, err := cookie.New(cookie.Config{Secrets: c.Secrets})
		if err != nil {
			return fmt.Errorf("pushhttp: Config: %w", err)
		}
		c.Authenticator = sessions.Authenticate
	}
	c.AckAfter = cmp.Or(c.AckAfter, 10*time.Second)
	c.Heartbeat = cmp.Or(c.Heartbeat, 20*time.Second)
	c.MaxWait = cmp.Or(c.MaxWait, 25*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 10*time.Second)
	c.MaxReaders = cmp.Or(c.MaxReaders, 10_000)
	c.MaxSessionReaders = cmp.Or(c.MaxSessionReaders, 16)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 10*time.Second)
	c.PublishRate = cmp.Or(c.PublishRate, 200)
	c.PublishBurst = cmp.Or(c.PublishBurst, 1000)
	c.MaxPublishBytes = cmp.Or(c.MaxPublishBytes, 1<<20)
	c.MaxBatch = cmp.Or(c.MaxBatch, 100)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c.checkKeys(d)
}

func (c *Config) checkKeys(d Deps) error {
	if len(c.PublishKeys) > 0 && d.Publisher == nil {
		return errors.New("pushhttp: Deps: no Publisher, and PublishKeys need one")
	}
	for i, k := range c.PublishKeys {
		if len(k.Key) < minPublishKey {
			return fmt.Errorf("pushhttp: Config: PublishKeys[%d] has %d characters, at least %d are needed", i, len(k.Key), minPublishKey)
		}
		for _, action := range k.Actions {
			if err := push.ValidAction(action); err != nil {
				return fmt.Errorf("pushhttp: Config: PublishKeys[%d]: %w", i, err)
			}
		}
	}
	return nil
}
