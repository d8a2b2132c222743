package stream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Deps is what a Handler stands on.
type Deps struct {
	// Store keeps the streams. The program runs it.
	Store Store
}

// Handler speaks the Durable Streams protocol. It is an http.Handler to be
// mounted anywhere: see Config.KeyOf. Safe for concurrent use.
type Handler struct {
	store   Store
	cfg     Config
	metrics metrics

	mu       sync.Mutex
	readers  int           // that wait
	stopping chan struct{} // closed when the readers have to leave
	stopped  bool
	idle     chan struct{} // signalled when a reader leaves
	running  bool
}

// New checks cfg and fills its defaults. It starts nothing.
func New(d Deps, cfg Config) (*Handler, error) {
	if d.Store == nil {
		return nil, errors.New("stream: Deps: no Store")
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	return &Handler{store: d.Store, cfg: cfg, metrics: m, stopping: make(chan struct{}), idle: make(chan struct{}, 1)}, nil
}

// Run waits until ctx ends and then has all readers leave: they come back, with
// their offsets, to whoever serves them then. It returns nil once they have left,
// or after Config.DrainTimeout. End it before the Store. It can be called once.
func (h *Handler) Run(ctx context.Context) error {
	h.mu.Lock()
	again := h.running
	h.running = true
	h.mu.Unlock()
	if again {
		return errors.New("stream: Run was called before")
	}
	<-ctx.Done()
	h.mu.Lock()
	h.stopped = true
	close(h.stopping)
	h.mu.Unlock()
	timeout := time.NewTimer(h.cfg.DrainTimeout)
	defer timeout.Stop()
	for {
		h.mu.Lock()
		left := h.readers
		h.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-h.idle:
		case <-timeout.C:
			h.cfg.Logger.WarnContext(ctx, "readers of streams have not left in time", "readers", left)
			return nil
		}
	}
}

// enter takes a place for a reader that waits, unless all are taken. The context
// ends when readers have to leave.
func (h *Handler) enter(ctx context.Context) (waitCtx context.Context, leave func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped || h.readers >= h.cfg.MaxReaders {
		h.metrics.refused.WithLabelValues("full").Inc()
		return nil, nil, false
	}
	h.readers++
	h.metrics.readers.Inc()
	ctx, cancel := context.WithCancel(ctx)
	left := make(chan struct{})
	go func() {
		select {
		case <-h.stopping:
			cancel()
		case <-left:
		}
	}()
	return ctx, func() {
		cancel()
		close(left)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.readers--
		h.metrics.readers.Dec()
		select {
		case h.idle <- struct{}{}:
		default:
		}
	}, true
}

// methods are what the protocol has.
const methods = "GET, HEAD, POST, PUT, DELETE, OPTIONS"

// request is one that was let in.
type request struct {
	*http.Request
	key   Key
	mount string // what was stripped off the path
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := w.Header()
	out.Set("X-Content-Type-Options", "nosniff")
	h.share(w, r)
	write := r.Method != http.MethodGet && r.Method != http.MethodHead
	switch {
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
		return
	case !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete}, r.Method):
		out.Set("Allow", methods)
		refuse(w, http.StatusMethodNotAllowed, "The protocol has no such method.")
		return
	case write && h.cfg.ReadOnly:
		out.Set("Allow", "GET, HEAD, OPTIONS")
		refuse(w, http.StatusMethodNotAllowed, "These streams can only be read.")
		return
	case write && !h.sameOrigin(r):
		h.metrics.refused.WithLabelValues("origin").Inc()
		refuse(w, http.StatusForbidden, "The request comes from another origin.")
		return
	}
	key, err := h.cfg.KeyOf(r.URL.Path)
	if err == nil {
		err = key.Valid()
	}
	if err != nil {
		refuse(w, http.StatusNotFound, "There is no such stream.")
		return
	}
	h.serve(r.Context(), w, &request{Request: r, key: key, mount: mount(r)}, write)
}

// mount returns what http.StripPrefix has taken off the path.
func mount(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	before, ok := strings.CutSuffix(path, r.URL.EscapedPath())
	if !ok {
		return ""
	}
	return before
}

// serve handles a request whose stream is known.
func (h *Handler) serve(ctx context.Context, w http.ResponseWriter, r *request, write bool) {
	a := Access{Key: r.key, Write: write}
	if from := r.Header.Get(headerForkedFrom); r.Method == http.MethodPut && from != "" {
		source, err := h.cfg.KeyOf(strings.TrimPrefix(from, r.mount))
		if err != nil {
			refuse(w, http.StatusNotFound, "There is no such source.")
			return
		}
		a.Source = &source
	}
	if err := h.cfg.Authorize(r.Request, a); err != nil {
		h.metrics.refused.WithLabelValues("authorize").Inc()
		status := http.StatusForbidden
		if errors.Is(err, ErrUnauthenticated) {
			status = http.StatusUnauthorized
		}
		refuse(w, status, http.StatusText(status)+".")
		return
	}
	var err error
	switch r.Method {
	case http.MethodPut:
		err = h.put(ctx, w, r, a.Source)
	case http.MethodPost:
		err = h.post(ctx, w, r)
	case http.MethodDelete:
		if err = h.store.Delete(ctx, r.key); err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
	case http.MethodHead:
		err = h.head(ctx, w, r)
	case http.MethodGet:
		err = h.get(ctx, w, r)
	}
	if err != nil {
		h.fail(ctx, w, r, err)
	}
}

// bad is a request that makes no sense.
type bad string

func (b bad) Error() string { return string(b) }

// fail answers with an error.
func (h *Handler) fail(ctx context.Context, w http.ResponseWriter, r *request, err error) {
	var wrong bad
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &wrong):
		refuse(w, http.StatusBadRequest, string(wrong))
	case errors.As(err, &large):
		refuse(w, http.StatusRequestEntityTooLarge, "The body is too large.")
	case errors.Is(err, ErrNotFound):
		refuse(w, http.StatusNotFound, "There is no such stream.")
	case errors.Is(err, ErrGone):
		status := http.StatusGone
		if r.Method == http.MethodPut { // its name is taken
			status = http.StatusConflict
		}
		refuse(w, status, "The stream was deleted.")
	case errors.Is(err, ErrMoved):
		refuse(w, http.StatusGone, "The offset is not there any more: begin again at -1.")
	case errors.Is(err, ErrFull):
		refuse(w, http.StatusRequestEntityTooLarge, "The stream is full.")
	case errors.Is(err, ErrInvalid):
		refuse(w, http.StatusBadRequest, "The stream cannot be made so.")
	case Final(err), errors.Is(err, ErrBusy):
		refuse(w, http.StatusConflict, reason(err))
	default:
		if ctx.Err() != nil {
			return
		}
		h.metrics.refused.WithLabelValues("store").Inc()
		h.cfg.Logger.ErrorContext(ctx, "stream request failed", "method", r.Method, "error", err)
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, "The streams cannot be reached at the moment.")
	}
}

// reason says what of this package's errors it is.
func reason(err error) string {
	for _, e := range []error{ErrFenced, ErrClosed, ErrConflict, ErrOrder, ErrPlace, ErrSource, ErrForks, ErrBusy} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	return "conflict"
}

// refuse answers with a status and a sentence.
func refuse(w http.ResponseWriter, status int, why string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, why) // whoever asked may have left
}

type metrics struct {
	readers prometheus.Gauge
	refused *prometheus.CounterVec
	read    prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (metrics, error) {
	m := metrics{
		readers: prometheus.NewGauge(prometheus.GaugeOpts{Name: "push_stream_readers", Help: "HTTP readers of streams that wait."}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "push_stream_refused_total", Help: "HTTP requests for streams that were refused: authorize, origin, full, store.",
		}, []string{"reason"}),
		read: prometheus.NewCounter(prometheus.CounterOpts{Name: "push_stream_read_bytes_total", Help: "Bytes of streams written to HTTP readers."}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.readers, m.refused, m.read} {
		if err := r.Register(c); err != nil {
			return m, fmt.Errorf("stream: register metrics: %w", err)
		}
	}
	return m, nil
}
