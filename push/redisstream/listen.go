package redisstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/push"
)

const (
	// readBlock is how long a read waits for the next hint.
	readBlock = 2 * time.Second
	// sharedBlock is the same on a Config.BlockingClient. It bounds how long
	// Listen lives on there: go-redis does not interrupt a blocked read when
	// its context ends, only closing the client does.
	sharedBlock = time.Second
	// readGrace is the time beyond readBlock after which a silent connection
	// is given up.
	readGrace = time.Second
	// readCount bounds one read, for each stream.
	readCount = 512
	// retireTimeout bounds what is tidied up when Listen, or a subscription,
	// ends.
	retireTimeout = 500 * time.Millisecond
	backoffBase   = 50 * time.Millisecond
	backoffMax    = 2 * time.Second
)

// Listen implements push.Transport.
//
// It reads the node's streams on connections of its own: one stream, and one
// connection, on a single server; one of each for each partition on a cluster.
func (t *Transport) Listen(ctx context.Context, node string, l push.Listener) error {
	if err := check("node", node); err != nil {
		return err
	}
	s := &serial{l: l}
	group := t.register(ctx, node, s)
	if group == nil {
		return nil // asked to stop
	}
	s.Resync()

	var wg sync.WaitGroup
	for _, r := range group {
		wg.Go(func() { r.run(ctx) })
	}
	wg.Wait()
	t.retire(context.WithoutCancel(ctx), group)
	return nil
}

// register makes all the node's streams, however long it takes, and returns
// their readers. It returns none when ctx ends before.
func (t *Transport) register(ctx context.Context, node string, out push.Listener) []*reader {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		group, err := t.readers(ctx, node, out)
		for _, r := range group {
			if err == nil {
				_, err = r.renew(ctx)
			}
			if err == nil {
				r.beat(ctx)
			}
		}
		if err == nil {
			return group
		}
		if attempt == 0 {
			t.log.WarnContext(ctx, "push listener cannot register", "node", node, "class", classOf(err), "error", err)
		}
		t.metrics.failed("listen", err)
		wait(ctx, push.Backoff(attempt, backoffBase, backoffMax)+backoffBase/2)
	}
	return nil
}

// readers returns a reader of all the node's streams, or one of each on a
// cluster.
func (t *Transport) readers(ctx context.Context, node string, out push.Listener) ([]*reader, error) {
	if err := t.layout.verify(ctx); err != nil {
		return nil, err
	}
	r, err := t.layout.routing(ctx)
	if err != nil {
		return nil, err
	}
	streams := r.streams(node)
	most := len(streams)
	_, cluster := t.client.(*redis.ClusterClient)
	if _, also := t.cfg.BlockingClient.(*redis.ClusterClient); cluster || also {
		most = 1
	}
	var group []*reader
	for some := range slices.Chunk(streams, most) {
		last := slices.Repeat([]string{streamStart}, len(some))
		group = append(group, &reader{t: t, node: node, out: out, streams: some, last: last})
	}
	return group, nil
}

// retire deletes the node's streams, so that publishers forget the node.
func (t *Transport) retire(ctx context.Context, group []*reader) {
	ctx, cancel := context.WithTimeout(ctx, retireTimeout)
	defer cancel()
	// A context does not end what has been sent, and go-redis sends it again
	// while there is time.
	_, err := impatient(t.client, retireTimeout/2).Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, r := range group {
			for _, s := range r.streams {
				p.Unlink(ctx, s)
			}
		}
		p.ZRem(ctx, t.keys.nodes(), group[0].node)
		return nil
	})
	if err != nil { // they expire by themselves
		t.log.WarnContext(ctx, "push listener left its streams behind", "node", group[0].node, "error", err)
	}
}

// serial keeps several readers from calling the Listener at once.
type serial struct {
	mu sync.Mutex
	l  push.Listener
}

func (s *serial) Notify(n []push.Notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.l.Notify(n)
}

func (s *serial) Resync() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.l.Resync()
}

// streamStart is the place before all entries of a stream.
const streamStart = "0-0"

// reader reads some of a node's streams.
//
// Invariant: the entry at last[i] is still in streams[i], because the node
// trims only what lies before it. When it is not, the stream was overrun,
// emptied or rewound, and hints are lost.
type reader struct {
	t       *Transport
	node    string
	out     push.Listener
	streams []string
	last    []string // by stream: the last entry handled

	client *readClient // nil before connect
	forget func() bool // keeps the end of the context from cutting client

	renewed, beaten time.Time
	runID           string
	echo            string    // the probe that is on its way
	echoSent        time.Time // and when it was sent
}

// run reads until ctx ends.
func (r *reader) run(ctx context.Context) {
	defer r.disconnect()
	failures := 0
	for ctx.Err() == nil {
		err := r.step(ctx)
		if err == nil {
			if failures > 0 {
				r.t.log.InfoContext(ctx, "push listener reads again", "node", r.node, "failures", failures)
			}
			failures = 0
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if failures == 0 {
			r.t.log.WarnContext(ctx, "push listener cannot read", "node", r.node, "class", classOf(err), "error", err)
		}
		r.t.metrics.failed("listen", err)
		r.disconnect()
		r.beaten = time.Time{} // look at everything before the next read
		// Half a base at least: a full jitter alone may be no wait at all.
		wait(ctx, push.Backoff(failures, backoffBase, backoffMax)+backoffBase/2)
		failures++
	}
}

// connect makes the client for blocking reads. Its connection is cut when ctx
// ends.
func (r *reader) connect(ctx context.Context) error {
	client, err := r.t.dial(ctx, r.streams[0])
	if err != nil {
		return fmt.Errorf("find the server to read from: %w", err)
	}
	r.client, r.forget = client, context.AfterFunc(ctx, client.cut)
	return nil
}

func (r *reader) disconnect() {
	if r.client != nil {
		r.forget()
		r.client.close()
		r.client = nil
	}
}

// step tends the streams when it is time to, and reads once.
func (r *reader) step(ctx context.Context) error {
	if r.echoLost() {
		r.t.log.WarnContext(ctx, "push listener gets no echo and reconnects", "node", r.node)
		r.echo = ""
		r.disconnect()
		r.resync("echo")
	}
	if time.Since(r.beaten) >= r.beatEvery() {
		if err := r.tend(ctx); err != nil {
			return err
		}
	} else if time.Since(r.renewed) >= readBlock {
		if err := r.keep(ctx); err != nil {
			return err
		}
	}
	if r.client == nil {
		if err := r.connect(ctx); err != nil {
			return err
		}
	}
	return r.read(ctx)
}

// read waits for hints and hands them on.
func (r *reader) read(ctx context.Context) error {
	ctx, cancel := r.client.bound(ctx, r.client.block+readGrace)
	defer cancel()
	started := time.Now()
	args := make([]string, 0, 2*len(r.streams))
	args = append(append(args, r.streams...), r.last...)
	got, err := r.client.XRead(ctx, &redis.XReadArgs{Streams: args, Count: readCount, Block: r.client.block}).Result()
	if errors.Is(err, redis.Nil) {
		if time.Since(started) < r.client.block/2 { // a server that does not block must not make this loop spin
			wait(ctx, r.client.block/10)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("read node streams: %w", err)
	}
	var notices []push.Notice
	lost := false
	for _, stream := range got {
		i := r.index(stream.Stream)
		if i < 0 || len(stream.Messages) == 0 {
			continue
		}
		// Only a reader that is behind can have been overrun.
		if len(stream.Messages) >= readCount && r.last[i] != streamStart {
			there, err := r.t.impatient.XRangeN(ctx, stream.Stream, r.last[i], r.last[i], 1).Result()
			if err != nil {
				return fmt.Errorf("look for overrun: %w", err)
			}
			lost = lost || len(there) == 0
		}
		for _, m := range stream.Messages {
			if n, ok := r.notice(m); ok {
				notices = append(notices, n)
			}
		}
		r.last[i] = stream.Messages[len(stream.Messages)-1].ID
	}
	if len(notices) > 0 {
		r.out.Notify(notices)
	}
	if lost {
		r.resync("overrun")
	}
	return nil
}

func (r *reader) index(stream string) int {
	for i, s := range r.streams {
		if s == stream {
			return i
		}
	}
	return -1
}

// notice reads one entry of a node stream.
func (r *reader) notice(m redis.XMessage) (push.Notice, bool) {
	session, ok := m.Values["s"].(string)
	if !ok {
		if e, isEcho := m.Values["e"].(string); isEcho && e == r.echo {
			r.t.metrics.echo.Set(time.Since(r.echoSent).Seconds())
			r.echo = ""
		}
		return push.Notice{}, false // an echo, or the entry that made the stream
	}
	if view, ok := m.Values["w"].(string); ok {
		version, _ := numberOf(m.Values["n"]) // 0 says that it may be any
		return push.Notice{Session: session, View: view, Version: version}, true
	}
	n := push.Notice{Session: session, Seq: seqOf(m.Values["i"]), Prev: seqOf(m.Values["v"])}
	if payload, ok := m.Values["p"].(string); ok {
		id, _ := m.Values["j"].(string)
		e := entryOf(session, n.Seq, n.Prev, id, payload)
		n.Entry = &e
	}
	return n, true
}

func (r *reader) resync(cause string) {
	r.t.metrics.resyncs.WithLabelValues(cause).Inc()
	r.out.Resync()
}
