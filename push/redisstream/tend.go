package redisstream

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// tendTimeout bounds each look.
const tendTimeout = time.Second

// beatEvery is the time between two looks at everything.
func (r *reader) beatEvery() time.Duration { return min(r.t.cfg.NodeTTL/6, 10*time.Second) }

// renew renews the streams' lifetime, makes those that have gone, and trims
// what has been handled. It goes through the publishers' client, not the
// readers'. It reports whether it had to make any.
func (r *reader) renew(ctx context.Context) (made bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, tendTimeout)
	defer cancel()
	alive := make([]*redis.BoolCmd, len(r.streams))
	_, err = r.t.impatient.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, s := range r.streams {
			alive[i] = p.Expire(ctx, s, r.t.cfg.NodeTTL)
			if r.last[i] != streamStart {
				p.XTrimMinID(ctx, s, r.last[i])
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("renew node streams: %w", err)
	}
	var missing []int
	for i, cmd := range alive {
		if !cmd.Val() {
			missing = append(missing, i)
		}
	}
	if len(missing) > 0 {
		if err := r.make(ctx, missing); err != nil {
			return false, err
		}
	}
	r.renewed = time.Now()
	return len(missing) > 0, nil
}

// keep renews the streams between two looks at everything. Streams do not
// vanish while they are renewed: the store may have been emptied.
func (r *reader) keep(ctx context.Context) error {
	made, err := r.renew(ctx)
	if err != nil || !made {
		return err
	}
	r.t.layout.doubt() // whoever uses the store next looks again
	r.resync("stream")
	return nil
}

// make makes streams, each with a lifetime in one step: none can be left
// behind for ever.
func (r *reader) make(ctx context.Context, missing []int) error {
	_, err := r.t.impatient.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for _, i := range missing {
			p.XAdd(ctx, &redis.XAddArgs{Stream: r.streams[i], Values: []string{"z", "1"}})
			p.Expire(ctx, r.streams[i], r.t.cfg.NodeTTL)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("make node streams: %w", err)
	}
	for _, i := range missing {
		r.last[i] = streamStart
	}
	return nil
}

// tend looks at everything: are the streams there, is what was read last still
// in them, is it the same server, does an echo come back.
func (r *reader) tend(ctx context.Context) error {
	made, err := r.renew(ctx)
	if err != nil {
		return err
	}
	lost, err := r.lost(ctx)
	if err != nil {
		return err
	}
	restarted := r.beat(ctx)
	switch {
	case made:
		r.t.layout.doubt() // the store may have been emptied
		r.resync("stream")
	case lost:
		r.resync("overrun")
	case restarted:
		r.resync("restart")
	}
	if restarted {
		r.disconnect() // it may be reading from the one before
	}
	if made || restarted {
		if err := r.t.layout.verify(ctx); err != nil {
			return err
		}
	}
	r.beaten = time.Now()
	return r.probe(ctx)
}

// lost reports whether some stream no longer holds what was read last, and
// starts over with such a stream.
func (r *reader) lost(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, tendTimeout)
	defer cancel()
	there := make([]*redis.XMessageSliceCmd, len(r.streams))
	_, err := r.t.impatient.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, s := range r.streams {
			there[i] = p.XRangeN(ctx, s, r.last[i], r.last[i], 1)
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("look into node streams: %w", err)
	}
	lost := false
	for i, cmd := range there {
		if r.last[i] != streamStart && len(cmd.Val()) == 0 {
			r.last[i] = streamStart
			lost = true
		}
	}
	return lost, nil
}

// beat signs the node in and reports whether the server is another one than
// before: a restarted or promoted one may have lost the latest hints.
func (r *reader) beat(ctx context.Context) (restarted bool) {
	ctx, cancel := context.WithTimeout(ctx, tendTimeout)
	defer cancel()
	_, err := r.t.impatient.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.ZAdd(ctx, r.t.keys.nodes(), redis.Z{Score: float64(time.Now().Unix()), Member: r.node})
		p.ZRemRangeByScore(ctx, r.t.keys.nodes(), "-inf", strconv.FormatInt(time.Now().Add(-2*r.t.cfg.NodeTTL).Unix(), 10))
		p.Expire(ctx, r.t.keys.nodes(), 10*r.t.cfg.NodeTTL)
		return nil
	})
	if err != nil {
		r.t.metrics.failed("sign in", err)
	}
	server, err := r.t.server(ctx, r.streams[0])
	if err != nil {
		return false
	}
	if single, ok := server.(*redis.Client); ok {
		server = single.WithTimeout(tendTimeout)
	}
	info, err := server.Info(ctx, "server").Result()
	if err != nil {
		return false // not every server tells, and those that fail are found by reading
	}
	id := infoField(info, "run_id")
	restarted = r.runID != "" && id != "" && id != r.runID
	r.runID = id
	return restarted
}

// probe sends an echo through the publishers' client. It has to come back
// through the readers' one: else that one may hang on a server that nobody
// else uses any more.
func (r *reader) probe(ctx context.Context) error {
	if r.echo != "" {
		return nil // one is on its way
	}
	ctx, cancel := context.WithTimeout(ctx, tendTimeout)
	defer cancel()
	echo := rand.Text()
	err := r.t.impatient.XAdd(ctx, &redis.XAddArgs{Stream: r.streams[0], NoMkStream: true, Values: []string{"e", echo}}).Err()
	if err != nil {
		return fmt.Errorf("send echo: %w", err)
	}
	r.echo, r.echoSent = echo, time.Now()
	return nil
}

// echoLost reports whether a probe has been away for two beats.
func (r *reader) echoLost() bool {
	return r.echo != "" && time.Since(r.echoSent) > 2*r.beatEvery()
}

// infoField returns a field of an INFO reply.
func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
