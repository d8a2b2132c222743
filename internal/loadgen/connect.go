package loadgen

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Result is what the connections counted.
type Result struct {
	Connections, Pushes, Frames int
	// Dropped counts connections that ended.
	Dropped int
	// Lost, Twice and Disorder count pushes over all connections.
	Lost, Twice, Disorder int
	// P50, P99 and Max are from the publisher's call to the frame's arrival.
	P50, P99, Max time.Duration
}

// tally is what all connections share.
type tally struct {
	pushes, frames, dropped atomic.Int64

	mu    sync.Mutex
	times []time.Duration
}

// opening is how many connections are opened at a time.
const opening = 32

// connect opens all connections and prints "open", and the Result when every
// push has arrived or the process is asked to stop.
func connect(ctx context.Context, s Spec) error {
	all := &tally{}
	conns := make([]*conn, s.Sessions)
	group, dialCtx := errgroup.WithContext(ctx)
	group.SetLimit(opening)
	for i := range conns {
		group.Go(func() (err error) {
			if conns[i], err = dial(dialCtx, s.Nodes[i%len(s.Nodes)], i, all); err != nil {
				return fmt.Errorf("connection %d: %w", i, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var reading sync.WaitGroup
	for _, c := range conns {
		reading.Go(func() {
			if err := c.read(); ctx.Err() == nil && !c.over.Load() {
				fmt.Fprintln(os.Stderr, "dropped:", err)
				all.dropped.Add(1)
			}
		})
	}
	if _, err := fmt.Fprintln(os.Stdout, "open"); err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil && all.pushes.Load() < int64(s.Total) {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	settle := time.NewTimer(time.Second) // in which a push too many would come
	defer settle.Stop()
	<-settle.C
	for _, c := range conns {
		c.over.Store(true)
		_ = c.ws.Close() // the reader ends by it
	}
	reading.Wait()
	return json.NewEncoder(os.Stdout).Encode(all.result(conns, s))
}

// result checks what each connection shows.
func (t *tally) result(conns []*conn, s Spec) Result {
	r := Result{
		Connections: len(conns), Pushes: int(t.pushes.Load()), Frames: int(t.frames.Load()), Dropped: int(t.dropped.Load()),
	}
	for i, c := range conns {
		want := s.Total / s.Sessions
		if i < s.Total%s.Sessions {
			want++
		}
		lost, twice, disorder := Judge(c.numbers, want)
		r.Lost, r.Twice, r.Disorder = r.Lost+lost, r.Twice+twice, r.Disorder+disorder
	}
	if slices.Sort(t.times); len(t.times) > 0 {
		n := len(t.times)
		r.P50, r.P99, r.Max = t.times[n/2], t.times[n*99/100], t.times[n-1]
	}
	return r
}

// Judge counts what is wrong with the numbers that a connection shows, which
// should be 1 to want.
func Judge(numbers []int, want int) (lost, twice, disorder int) {
	seen := make(map[int]bool, want)
	highest := 0
	for _, n := range numbers {
		switch {
		case seen[n]:
			twice++
		case n < highest:
			disorder++
		}
		seen[n] = true
		highest = max(highest, n)
	}
	for n := 1; n <= want; n++ {
		if !seen[n] {
			lost++
		}
	}
	return lost, twice, disorder
}
