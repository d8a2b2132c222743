package lastmile

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"lastmile/internal/service"
	"lastmile/live"
	"lastmile/push/pushhttp"
)

// Readers gives the pushes of sessions to pages that are not live, and to other
// programs, below the pattern, which ends in a slash: see package pushhttp. What
// cfg does not name is the application's: who has which session is what the
// pages say ([live.Hub.SessionOf]), and cursors are signed with the pages'
// secret. Where the same sessions have live pages, set RequireActions. It runs
// with the App; the handler is needed for its Cursor and its Token alone.
func (a *App) Readers(pattern string, cfg pushhttp.Config) (*pushhttp.Handler, error) {
	if len(cfg.Secrets) == 0 {
		cfg.Secrets = [][]byte{slices.Clone(a.cfg.Live.Secret)}
	}
	if cfg.Authenticator == nil {
		cfg.Authenticator = a.reader
	}
	if cfg.Registerer == nil {
		cfg.Registerer = a.cfg.Registerer
	}
	cfg.Logger = cmp.Or(cfg.Logger, a.log)
	cfg.DrainTimeout = cmp.Or(cfg.DrainTimeout, a.cfg.DrainTimeout)
	h, err := pushhttp.New(pushhttp.Deps{Node: a.node, Publisher: a.publisher, Broker: a.transport.Topics()}, cfg)
	if err != nil {
		return nil, err
	}
	a.Handle(pattern, h)
	if a.cfg.Role != Worker {
		a.front = append(a.front, service.Task{Name: "readers of pushes", Run: h.Run})
	}
	return h, nil
}

// reader names the session of a request as the pages do.
func (a *App) reader(w http.ResponseWriter, r *http.Request) (string, error) {
	session, err := a.hub.SessionOf(w, r)
	if errors.Is(err, live.ErrIdentityUnknown) {
		return "", fmt.Errorf("%w: %w", pushhttp.ErrUnavailable, err)
	}
	if err != nil {
		return "", err
	}
	return session.ID(), nil
}
