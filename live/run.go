package live

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"lastmile/push"
)

const (
	// sweepEvery is how often silent connections are looked for.
	sweepEvery = 10 * time.Second
	// spreadEach is the time that each leaving connection adds to the window
	// in which browsers come back to other nodes.
	spreadEach = 2 * time.Millisecond
	minSpread  = 100 * time.Millisecond
	maxSpread  = 5 * time.Second
)

// Run lets browsers connect, and blocks until ctx ends. Then it refuses new
// connections, stores what connections still have to store, sends each browser
// away with a window to reconnect in, and returns nil once all are gone, within
// Config.DrainTimeout and, after that, one Config.StoreTimeout. It leaves behind
// only connections whose action does not return: what they have not stored they
// have not shown either. Stop the push.Node after Run has returned, not before.
func (h *Hub) Run(ctx context.Context) error {
	h.mu.Lock()
	if h.phase != phaseNew {
		h.mu.Unlock()
		return errors.New("live: the hub has run already")
	}
	h.phase = phaseRunning
	h.mu.Unlock()
	var hearing sync.WaitGroup
	hearing.Go(func() { hearNodes(ctx, h, disconnectTopic, h.heardDisconnect) })
	hearing.Go(func() { hearNodes(ctx, h, laneTopic(h.lanes.node), h.heardLane) })
	hearing.Go(func() { h.room.watch(ctx, h) })
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			hearing.Wait()
			h.drain()
			return nil
		case <-tick.C:
			h.sweep(time.Now())
		}
	}
}

// hearNodes follows what nodes tell each other on a topic, until ctx ends.
func hearNodes(ctx context.Context, h *Hub, topic string, heard func([]byte)) {
	for failures := 0; h.deps.Broker != nil; failures++ {
		stop, err := h.deps.Broker.Follow(ctx, topic, heard)
		if err == nil {
			<-ctx.Done()
			h.topics.endLater(stop)
			return
		}
		if ctx.Err() != nil {
			return
		}
		h.log.WarnContext(ctx, "other nodes are not heard, trying again", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(push.Backoff(failures, h.cfg.RetryBase, h.cfg.RetryMax)):
		}
	}
}

// Draining reports whether Run is ending: then a readiness check should fail,
// so that browsers are sent to other nodes.
func (h *Hub) Draining() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.phase == phaseDraining
}

// sweep cuts the connections that have been silent for too long.
func (h *Hub) sweep(now time.Time) {
	limit := time.Duration(silence * float64(h.cfg.Heartbeat))
	for _, c := range h.all() {
		if now.Sub(time.Unix(0, c.heard.Load())) > limit {
			c.stop(ending{ReasonLost, websocket.StatusPolicyViolation, "silent"})
		}
	}
}

// goodbye is how a stopping node ends one of n connections. The reason tells
// the browser the window to come back in, in milliseconds.
func goodbye(n int) ending {
	return ending{ReasonShutdown, websocket.StatusServiceRestart, strconv.FormatInt(spread(n).Milliseconds(), 10)}
}

func spread(n int) time.Duration {
	return min(max(time.Duration(n)*spreadEach, minSpread), maxSpread)
}

// abandon waits for connections that have been cut, but not for an action that
// takes no notice of its context: it would keep the process from ending.
func (h *Hub) abandon(gone <-chan struct{}) {
	select {
	case <-gone:
	case <-time.After(h.cfg.StoreTimeout):
		h.log.Error("leaving connections behind whose action does not return", "connections", len(h.all()))
	}
}

// drain ends all connections, and cuts those that do not end in time.
func (h *Hub) drain() {
	h.mu.Lock()
	h.phase = phaseDraining
	h.mu.Unlock()
	h.topics.drain()
	conns := h.all()
	h.log.Info("sending connections away", "connections", len(conns))
	for _, c := range conns {
		c.stop(goodbye(len(conns)))
	}
	gone, late := make(chan struct{}), make(chan struct{})
	go func() {
		h.serving.Wait()
		close(gone)
	}()
	timer := time.AfterFunc(h.cfg.DrainTimeout, func() { close(late) })
	defer timer.Stop()
	select {
	case <-gone:
	case <-late:
		left := h.all()
		h.log.Warn("cutting connections that did not end in time", "connections", len(left), "timeout", h.cfg.DrainTimeout)
		for _, c := range left {
			c.socket.Cut()
		}
		h.abandon(gone)
	}
	if !h.topics.stopAll(late) {
		h.log.Warn("topic subscriptions did not end in time", "timeout", h.cfg.DrainTimeout)
	}
}
