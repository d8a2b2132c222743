package live

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"lastmile/push"
)

const (
	// askRoomEvery is how often the store is asked how full it is.
	askRoomEvery = 5 * time.Second
	// easeOff is how far below Config.FullAt the store must be before visitors
	// are let in again, so that it is not decided anew at each look.
	easeOff = 0.05
)

// errFull says that the store has no room for visitors that nobody knows.
var errFull = errors.New("live: the store is nearly full: visitors that are not signed in must wait")

// room says whether there is any for strangers.
type room struct {
	// full says that the store is nearly full.
	full atomic.Bool
}

// lets reports whether a visitor may have a new connection.
func (r *room) lets(who Identity) bool { return who.UserID != "" || !r.full.Load() }

// watch finds out whether the store is nearly full, until ctx ends. One that does
// not answer is as full as it was.
func (r *room) watch(ctx context.Context, h *Hub) {
	store, ok := h.deps.States.(push.Filled)
	if !ok {
		return
	}
	tick := time.NewTicker(askRoomEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		r.look(ctx, h, store)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (r *room) look(ctx context.Context, h *Hub, store push.Filled) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.StoreTimeout)
	defer cancel()
	full, err := store.Full(ctx)
	switch {
	case err != nil:
		h.log.DebugContext(ctx, "the store does not tell how full it is", "error", err)
	case full >= h.cfg.FullAt:
		if !r.full.Swap(true) {
			h.log.WarnContext(ctx, "the store is nearly full: visitors that are not signed in get no new connection", "full", full, "bound", h.cfg.FullAt)
		}
	case full < h.cfg.FullAt-easeOff:
		if r.full.Swap(false) {
			h.log.InfoContext(ctx, "the store has room again", "full", full)
		}
	}
}
