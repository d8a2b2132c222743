package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// operate serves the metrics of this process, on an address for that alone.
func (d *Desk) operate() error {
	if d.metrics == "" {
		return nil
	}
	server := &http.Server{Addr: d.metrics, Handler: promhttp.Handler(), ReadHeaderTimeout: 5 * time.Second}
	d.app.Background("metrics", func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { _ = server.Close() })() // nobody waits for an answer
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return nil
}
