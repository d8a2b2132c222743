package loadgen

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"lastmile/push"
)

// lanes publish side by side. Each has its own sessions, so that the pushes of
// one session are published in order.
const lanes = 50

// publish sends push number n to session n modulo Spec.Sessions, at its time.
func publish(ctx context.Context, s Spec) error {
	transport, err := open(s)
	if err != nil {
		return err
	}
	publisher, err := push.NewPublisher(transport, push.PublisherConfig{})
	if err != nil {
		return fmt.Errorf("loadgen: %w", err)
	}
	if s.Sessions%lanes != 0 {
		return fmt.Errorf("loadgen: %d sessions are not a multiple of %d", s.Sessions, lanes)
	}
	group, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for l := range lanes {
		group.Go(func() error {
			for n := l; n < s.Total; n += lanes {
				due := start.Add(time.Duration(n) * time.Second / time.Duration(s.Rate))
				select {
				case <-time.After(time.Until(due)):
				case <-ctx.Done():
					return ctx.Err()
				}
				if err := send(ctx, publisher, n%s.Sessions, n/s.Sessions+1); err != nil {
					return fmt.Errorf("loadgen: push %d: %w", n, err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(os.Stdout, "published %.3f\n", time.Since(start).Seconds())
	return err
}

// send publishes one push, which carries the time of the call.
func send(ctx context.Context, p *push.Publisher, session, number int) error {
	token := fmt.Sprintf("%d@%d", number, time.Now().UnixNano())
	_, err := p.Session(SessionID(session)).Trigger(ctx, "Number", map[string]string{"token": token})
	return err
}
