package redisstream

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/push"
)

// topicProbe is how long the subscription may be silent before it is probed.
const topicProbe = 10 * time.Second

// maxTopicLen bounds topics, in bytes: room for a few IDs.
const maxTopicLen = 512

func checkTopic(topic string) error {
	if topic == "" || len(topic) > maxTopicLen {
		return fmt.Errorf("redisstream: %w: topic of %d bytes, 1 to %d are allowed", push.ErrInvalid, len(topic), maxTopicLen)
	}
	return nil
}

var _ push.Broker = (*Topics)(nil)

// Topics carries topic messages by PUB/SUB: over one connection, there while
// somebody follows a topic. Get it from Transport.Topics. It is safe for
// concurrent use.
type Topics struct {
	t *Transport

	mu     sync.Mutex
	next   int
	fns    map[string]map[int]func([]byte) // by channel
	ready  map[string]chan struct{}        // by channel: closed once Redis has confirmed
	pubsub *redis.PubSub
	stop   context.CancelFunc
}

// Topics returns the topics of the store. All calls return the same.
func (t *Transport) Topics() *Topics { return t.topics }

// Publish implements push.Broker.
func (s *Topics) Publish(ctx context.Context, topic string, payload []byte) error {
	if err := checkTopic(topic); err != nil {
		return err
	}
	channel := s.t.keys.channel(topic)
	// A cluster passes a message on to all its servers: which one takes it in
	// matters for the order alone.
	server, err := s.t.server(ctx, channel)
	if err == nil {
		err = server.Publish(ctx, channel, payload).Err()
	}
	if err != nil {
		return s.t.metrics.fail("publish", "", err)
	}
	return nil
}

// Follow implements push.Broker. It returns once Redis has confirmed the
// subscription. One goroutine of the Topics, there while anything is
// followed, calls the functions.
func (s *Topics) Follow(ctx context.Context, topic string, fn func(payload []byte)) (stop func(), err error) {
	if err := checkTopic(topic); err != nil {
		return nil, err
	}
	channel := s.t.keys.channel(topic)
	s.mu.Lock()
	if s.pubsub == nil {
		s.open(ctx)
	}
	s.next++
	n := s.next
	ready, known := s.ready[channel]
	if !known {
		ready = make(chan struct{})
		s.ready[channel], s.fns[channel] = ready, map[int]func([]byte){}
		// An error is no matter: the channel is noted, and subscribed to
		// whenever there is a connection.
		_ = s.pubsub.Subscribe(ctx, channel)
	}
	s.fns[channel][n] = fn
	s.mu.Unlock()

	var once sync.Once
	stop = func() { once.Do(func() { s.unfollow(context.WithoutCancel(ctx), channel, n) }) }
	select {
	case <-ready:
		return stop, nil
	case <-ctx.Done():
		stop()
		return nil, s.t.metrics.fail("follow", "", ctx.Err())
	}
}

// open starts the subscription's connection. The caller holds the lock.
func (s *Topics) open(ctx context.Context) {
	s.fns, s.ready = map[string]map[int]func([]byte){}, map[string]chan struct{}{}
	// The subscription outlives the call that began it; the last stop ends it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.pubsub, s.stop = s.t.client.Subscribe(ctx), cancel
	go s.receive(ctx, s.pubsub)
}

// unfollow takes a function off, and the subscription with the last one.
func (s *Topics) unfollow(ctx context.Context, channel string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.fns[channel], n)
	if len(s.fns[channel]) > 0 {
		return
	}
	delete(s.fns, channel)
	delete(s.ready, channel)
	if len(s.fns) > 0 {
		ctx, cancel := context.WithTimeout(ctx, retireTimeout)
		defer cancel()
		_ = s.pubsub.Unsubscribe(ctx, channel) // what still comes has no function
		return
	}
	s.stop()
	_ = s.pubsub.Close()
	s.pubsub = nil
}

// receive hands messages on until ctx ends. The PubSub reconnects and
// subscribes again by itself.
func (s *Topics) receive(ctx context.Context, ps *redis.PubSub) {
	failures, silent := 0, false
	for ctx.Err() == nil {
		msg, err := ps.ReceiveTimeout(ctx, topicProbe)
		switch {
		case err == nil:
			failures, silent = 0, false
			s.deliver(ps, msg)
		case ctx.Err() != nil:
			return
		case classOf(err) == "timeout" && !silent:
			silent = true
			_ = ps.Ping(ctx) // its answer ends the silence; without one the connection is dead
		default:
			if failures == 0 {
				s.t.log.WarnContext(ctx, "topic subscription broke", "class", classOf(err), "error", err)
			}
			s.t.metrics.failed("follow", err)
			wait(ctx, push.Backoff(failures, backoffBase, backoffMax)+backoffBase/2)
			failures++
		}
	}
}

// deliver calls the functions of a message's topic.
func (s *Topics) deliver(ps *redis.PubSub, msg any) {
	s.mu.Lock()
	if s.pubsub != ps {
		s.mu.Unlock()
		return
	}
	var fns []func([]byte)
	var payload []byte
	switch m := msg.(type) {
	case *redis.Subscription:
		if ready := s.ready[m.Channel]; ready != nil && m.Kind == "subscribe" {
			select {
			case <-ready:
			default:
				close(ready)
			}
		}
	case *redis.Message:
		payload = []byte(m.Payload)
		for _, fn := range s.fns[m.Channel] {
			fns = append(fns, fn)
		}
	}
	s.mu.Unlock()
	for _, fn := range fns {
		fn(payload)
	}
}
