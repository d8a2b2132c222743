package pushhttp

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"lastmile/push"
)

const (
	// writeLen and writeBytes bound what is gathered for one write.
	writeLen   = 64
	writeBytes = 256 << 10
	// idEvery is how often, at most, a reader is told of a place that it has
	// reached without an event.
	idEvery = time.Second
)

// follower writes a reader's events until it is gone.
type follower struct {
	*reader

	out outlet
	// confirms says that the reader confirms by itself what it has applied. A
	// socket's reading side sets it.
	confirms atomic.Bool
	// written are the places that were written to the connection and are not
	// confirmed yet, oldest first.
	written []mark
	// topics are the messages of topics that wait; nil without topics.
	topics chan push.TopicMessage
	// passed says that the reader has a place that it was not told of.
	passed bool
}

// mark is a place, when it was written, and how much had been written then.
type mark struct {
	seq   push.Seq
	at    time.Time
	bytes int64
}

// run writes until the reader is gone or has to go.
func (f *follower) run(ctx context.Context) {
	stop, err := f.followTopics(ctx)
	if err != nil {
		f.h.cfg.Logger.WarnContext(ctx, "reader sent away", "session", push.Redact(f.who.session), "error", err)
		f.out.control("stopping", "", spread(500, 2000))
		_ = f.out.flush() // it has left
		return
	}
	defer stop()
	if f.reset {
		f.out.control("reset", f.id(), 0)
	} else {
		f.out.place(f.id()) // a reader that is cut before the first event has a place, too
	}
	beat := time.NewTimer(f.beat())
	defer beat.Stop()
	var check, tell, expired <-chan time.Time
	if !f.who.expires.IsZero() {
		timer := time.NewTimer(time.Until(f.who.expires))
		defer timer.Stop()
		expired = timer.C
	}
	for more := true; more; {
		if f.forward(ctx) != nil {
			return
		}
		if len(f.written) > 0 && check == nil {
			check = time.After(f.due())
		}
		if f.passed && tell == nil {
			tell = time.After(idEvery)
		}
		if err := f.feed.Err(); err != nil {
			f.over(err)
			return
		}
		select {
		case <-f.feed.Ready():
		case m := <-f.topics:
			f.tell(m)
		case <-ctx.Done():
			return
		case <-f.h.stopping:
			f.out.control("stopping", "", spread(100, 2000))
			more = false
		case <-expired:
			f.out.control("expired", "", 0)
			more = false
		case <-beat.C:
			beat.Reset(f.beat())
			f.out.beat()
		case <-tell:
			tell, f.passed = nil, false
			f.out.place(f.id())
		case <-check:
			check = nil
			f.heard(ctx)
		}
	}
	_ = f.out.flush() // it has left
}

// beat is the time to the next heartbeat.
func (f *follower) beat() time.Duration {
	every := f.h.cfg.Heartbeat
	return every - every/5 + rand.N(2*every/5+1) //nolint:gosec // no secret
}

// due is the time until what was written first may be confirmed.
func (f *follower) due() time.Duration {
	return max(f.h.cfg.AckAfter-time.Since(f.written[0].at), f.h.cfg.AckAfter/4)
}

// forward writes all that is there.
func (f *follower) forward(ctx context.Context) error {
	for more := true; more; {
		n, before := 0, f.at
		for ; n < writeLen && f.out.gathered() < writeBytes; n++ {
			e, ok := f.next()
			if !ok {
				break
			}
			html, wanted := f.take(ctx, e)
			if wanted {
				f.out.event(f.id(), e, html)
				f.h.metrics.events.Inc()
			}
			f.passed = !wanted
		}
		more = n == writeLen || f.out.gathered() >= writeBytes
		if err := f.out.flush(); err != nil {
			return err
		}
		if f.at != before && !f.confirms.Load() {
			written, _ := f.out.progress()
			f.written = append(f.written, mark{f.at.seq, time.Now(), written})
		}
	}
	return nil
}

// heard confirms for a reader that can only listen what was written AckAfter ago,
// if it has left this machine and the connection takes more. What it cannot
// confirm now is tried again.
func (f *follower) heard(ctx context.Context) {
	if f.confirms.Load() {
		f.written = nil
		return
	}
	n := 0
	_, gone := f.out.progress()
	for n < len(f.written) && time.Since(f.written[n].at) >= f.h.cfg.AckAfter && f.written[n].bytes <= gone {
		n++
	}
	if n == 0 {
		return
	}
	f.out.beat()
	if f.out.flush() != nil {
		return // and so will the next one
	}
	if err := f.h.confirm(ctx, f.who, f.written[n-1].seq, ackListen); err != nil {
		f.h.cfg.Logger.WarnContext(ctx, "confirmation failed, trying again", "session", push.Redact(f.who.session), "error", err)
		return
	}
	f.written = f.written[n:]
}

// over tells why the feed has ended. A cursor that has become too old is found
// out when the reader comes back.
func (f *follower) over(err error) {
	if errors.Is(err, push.ErrSessionClosed) {
		f.out.control("closed", "", 60_000)
	} else {
		f.out.control("stopping", "", spread(100, 1000))
	}
	_ = f.out.flush() // it has left
}
