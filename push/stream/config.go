package stream

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ErrUnauthenticated, wrapped by the error of Config.Authorize, has the request
// answered with 401: whoever asks has not said who they are. Other errors are
// answered with 403.
var ErrUnauthenticated = errors.New("stream: not authenticated")

// Access is what a request wants to do.
type Access struct {
	Key Key
	// Write is true for everything but reading.
	Write bool
	// Source is what a fork is made from. Its bytes will be readable under Key.
	Source *Key
}

// AllowReads is an Authorize that lets everybody read, who knows a stream's name,
// and nobody write.
func AllowReads(_ *http.Request, a Access) error {
	if a.Write {
		return errors.New("stream: writes are not allowed")
	}
	return nil
}

// Config tunes a Handler. The zero value is ready for production but for
// Authorize: without one nobody is let in.
type Config struct {
	// Authorize decides about each request, before anything is looked up. It is
	// called from many goroutines. Defaults to refusing all. AllowReads is one.
	Authorize func(r *http.Request, a Access) error
	// ReadOnly answers everything but reading with 405. Set it for streams whose
	// owner writes them from the program: those of jobs. Defaults to false.
	ReadOnly bool
	// KeyOf names the stream of a path, the part of it that the Handler gets
	// (http.StripPrefix). Defaults to the first element as the group, and all that
	// follows as the name: "/chat/answer" is the stream "answer" of "chat".
	KeyOf func(path string) (Key, error)
	// AllowedOrigins are origins besides the page's own that may use the streams
	// from a browser, with the user's cookies, such as "https://www.example.com".
	// A "*" stands for all, without cookies. Defaults to none.
	AllowedOrigins []string

	// MaxBodyBytes bounds one append. Defaults to 1 MiB.
	MaxBodyBytes int64
	// MaxReadBytes is about how much one answer holds: whole appends, at least
	// one. Defaults to 1 MiB.
	MaxReadBytes int
	// MaxWait bounds a long poll. Defaults to 20 seconds.
	MaxWait time.Duration
	// MaxEvents is how long an answer of server-sent events goes on before the
	// reader has to come back. Defaults to 60 seconds.
	MaxEvents time.Duration
	// Heartbeat is how often something is written to events that are silent.
	// Defaults to 15 seconds.
	Heartbeat time.Duration
	// WriteTimeout is how long a reader may take nothing off the wire before its
	// connection is cut. Defaults to 10 seconds.
	WriteTimeout time.Duration
	// MaxReaders bounds the readers of this process that wait. Defaults to 10,000.
	MaxReaders int
	// DrainTimeout bounds the end of all readers when Run's context ends.
	// Defaults to 10 seconds.
	DrainTimeout time.Duration

	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Registerer receives the push_stream_* metrics. Defaults to none.
	Registerer prometheus.Registerer
}

func (c Config) withDefaults() (Config, error) {
	if min(c.MaxBodyBytes, int64(c.MaxReadBytes), int64(c.MaxWait), int64(c.MaxEvents), int64(c.Heartbeat),
		int64(c.WriteTimeout), int64(c.MaxReaders), int64(c.DrainTimeout)) < 0 {
		return c, errors.New("stream: Config: no setting may be negative")
	}
	for _, o := range c.AllowedOrigins {
		if u, err := url.Parse(o); o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Path != "") {
			return c, fmt.Errorf("stream: Config: AllowedOrigins: %q is not of the form https://host", o)
		}
	}
	c.AllowedOrigins = slices.Clone(c.AllowedOrigins)
	if c.Authorize == nil {
		c.Authorize = func(*http.Request, Access) error { return errors.New("stream: Config has no Authorize") }
	}
	if c.KeyOf == nil {
		c.KeyOf = keyOf
	}
	c.MaxBodyBytes = cmp.Or(c.MaxBodyBytes, 1<<20)
	c.MaxReadBytes = cmp.Or(c.MaxReadBytes, 1<<20)
	c.MaxWait = cmp.Or(c.MaxWait, 20*time.Second)
	c.MaxEvents = cmp.Or(c.MaxEvents, time.Minute)
	c.Heartbeat = cmp.Or(c.Heartbeat, 15*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 10*time.Second)
	c.MaxReaders = cmp.Or(c.MaxReaders, 10_000)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 10*time.Second)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c, nil
}

// keyOf is the default of Config.KeyOf.
func keyOf(path string) (Key, error) {
	group, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	k := Key{Group: group, Name: name}
	return k, k.Valid()
}
