package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"lastmile/cmd/internal/config"
	"lastmile/cmd/internal/service"
)

// health answers the two questions of an orchestrator. Readiness fails fast: a
// node that cannot reach Redis should get no visitors. Liveness fails slowly: a
// restart mends no Redis, and brings everybody back at once.
type health struct {
	ping     func(ctx context.Context) error
	node     func() error
	skew     func() time.Duration
	draining atomic.Bool

	mu   sync.Mutex
	sick time.Time // since when the node is unhealthy
}

// sickFor is how long a node may be unhealthy before it should be restarted.
const sickFor = 5 * time.Minute

// ready serves /readyz.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	err := h.node()
	switch {
	case h.draining.Load():
		err = errors.New("draining")
	case err == nil:
		if err = h.ping(ctx); err != nil && !errors.Is(err, config.ErrDenied) {
			err = errors.New("redis does not answer") // why is in the log, and not everybody's business
		}
		if err == nil {
			err = service.CheckSkew(h.skew())
		}
	}
	answer(w, err)
}

// live serves /healthz.
func (h *health) live(w http.ResponseWriter, _ *http.Request) {
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
