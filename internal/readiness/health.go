package readiness

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"lastmile/internal/service"
)

// Health answers the two questions of an orchestrator. Readiness fails fast: a
// process that cannot reach Redis should get no visitors. Liveness fails slowly: a
// restart mends no Redis, and brings everybody back at once.
type Health struct {
	// Ping asks the store.
	Ping func(ctx context.Context) error
	// Node tells why the process cannot reach the store, nil for a process
	// without pages.
	Node func() error
	// Skew is how far the clock is ahead of Redis's.
	Skew func() time.Duration

	draining atomic.Bool

	mu   sync.Mutex
	sick time.Time // since when the node is unhealthy
}

// sickFor is how long a node may be unhealthy before it should be restarted.
const sickFor = 5 * time.Minute

// Drain makes Ready fail from now on.
func (h *Health) Drain() { h.draining.Store(true) }

// Ready serves /readyz.
func (h *Health) Ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	err := h.node()
	switch {
	case h.draining.Load():
		err = errors.New("draining")
	case err == nil:
		if err = h.Ping(ctx); err != nil && !errors.Is(err, ErrDenied) {
			err = errors.New("redis does not answer") // why is in the log, and not everybody's business
		}
		if err == nil {
			err = service.CheckSkew(h.Skew())
		}
	}
	answer(w, err)
}

// Live serves /healthz.
func (h *Health) Live(w http.ResponseWriter, _ *http.Request) {
	err := h.node()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil || h.draining.Load():
		h.sick, err = time.Time{}, nil
	case h.sick.IsZero():
		h.sick, err = time.Now(), nil
	case time.Since(h.sick) < sickFor:
		err = nil
	}
	answer(w, err)
}

func (h *Health) node() error {
	if h.Node == nil {
		return nil
	}
	return h.Node()
}

func answer(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	text := "ok\n"
	if err != nil {
		text = err.Error() + "\n"
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = io.WriteString(w, text) // the asker is gone
}
