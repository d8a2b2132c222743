package testapp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"lastmile/internal/e2e/history"
	"lastmile/push"
)

// publish runs the lanes until each has sent all it has to.
func publish(ctx context.Context, s Spec) error {
	transport, err := connect(ctx, s)
	if err != nil {
		return err
	}
	publisher, err := push.NewPublisher(s.appender(transport), push.PublisherConfig{Timeout: 3 * time.Second})
	if err != nil {
		return fmt.Errorf("testapp: %w", err)
	}
	runCtx, stop := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	var lanes errgroup.Group
	for i := range s.Lanes {
		lanes.Go(func() error { return lane(ctx, s, publisher, s.First+i) })
	}
	group.Go(func() error { return publisher.Run(runCtx) })
	group.Go(func() error {
		defer stop()
		err := lanes.Wait()
		if s.Linger {
			<-ctx.Done()
		}
		return err
	})
	return group.Wait()
}

// lane pushes one number after the other, each until it is accepted. A lane
// that was killed goes on at the last line of its journal, like a job that died
// before its end was noted: that push, and the one that it may have sent without
// writing it down, are sent again under the same IDs.
func lane(ctx context.Context, s Spec, publisher *push.Publisher, number int) error {
	file := filepath.Join(s.Journal, fmt.Sprintf("lane-%d", number))
	done, err := ReadJournal(file)
	if err != nil {
		return err
	}
	journal, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("testapp: %w", err)
	}
	defer func() { _ = journal.Close() }()
	pace := time.NewTicker(max(s.Every, time.Microsecond))
	defer pace.Stop()
	if n := len(done); n > 0 {
		persist(context.WithoutCancel(ctx), publisher.Session(done[n-1].Session), done[n-1].Token)
	}
	for n := len(done); n < s.Total; n++ {
		p := history.Push{Session: SessionID((number + n) % s.Sessions), Token: fmt.Sprintf("%d.%d", number, n)}
		// Not given up when ctx ends: a push that may be stored has to be in
		// the journal.
		receipt := persist(context.WithoutCancel(ctx), publisher.Session(p.Session), p.Token)
		p.Seq = uint64(receipt.Seq)
		if _, err := fmt.Fprintf(journal, "%s %s %d\n", p.Session, p.Token, p.Seq); err != nil {
			return fmt.Errorf("testapp: journal: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-pace.C:
		}
	}
	return nil
}

// persist publishes until the push is accepted.
func persist(ctx context.Context, session push.Session, token string) push.Receipt {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		receipt, err := session.Trigger(ctx, "Number", map[string]string{"token": token}, push.WithID("push-"+token))
		if err == nil {
			return receipt
		}
		slog.Warn("publish again", "error", err)
		<-pause.C
	}
}

// ReadJournal returns what a lane was promised. No file is an empty journal.
func ReadJournal(file string) ([]history.Push, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("testapp: %w", err)
	}
	defer func() { _ = f.Close() }()
	var pushes []history.Push
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var p history.Push
		if _, err := fmt.Sscanf(lines.Text(), "%s %s %d", &p.Session, &p.Token, &p.Seq); err != nil {
			return nil, fmt.Errorf("testapp: journal line %q: %w", lines.Text(), err)
		}
		pushes = append(pushes, p)
	}
	return pushes, lines.Err()
}
