package flight_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lastmile/internal/flight"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server takes a second for each round trip, and notes them.
type server struct {
	mu     sync.Mutex
	trips  [][]int
	silent map[int]bool  // calls that a batch says nothing about
	fail   map[int]error // calls that fail
	down   error         // of all batches
}

func (s *server) note(calls ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trips = append(s.trips, calls)
}

func (s *server) one(ctx context.Context, c int) (string, error) {
	s.note(c)
	select {
	case <-time.After(time.Second):
		return "one " + strconv.Itoa(c), s.fail[c]
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (s *server) many(ctx context.Context, calls []int, done func(i int, r string, err error)) {
	s.note(calls...)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		for i := range calls {
			done(i, "", ctx.Err())
		}
		return
	}
	for i, c := range slices.Backward(calls) { // in any order
		switch {
		case s.silent[c]:
		case s.down != nil:
			done(i, "", s.down)
		default:
			done(i, "many "+strconv.Itoa(c), s.fail[c])
		}
	}
}

func (s *server) group(cfg flight.Config[int, string]) *flight.Group[int, string] {
	cfg.One, cfg.Many = s.one, s.many
	return flight.New(cfg)
}

// TestIdleCallsGoAtOnceAndAlone: sharing adds no waiting where nobody waits.
func TestIdleCallsGoAtOnceAndAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		g := s.group(flight.Config[int, string]{})
		began := time.Now()
		for i := range 10 {
			if r, err := g.Do(t.Context(), i); r != "one "+strconv.Itoa(i) || err != nil {
				t.Errorf("call %d: %q, %v", i, r, err)
			}
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("ten calls in a row took %s, want ten round trips", took)
		}
	})
}

// TestCallsShare: beyond the flights all go with the next one that lands, up to
// a batch's bound, and each gets its own reply and error.
func TestCallsShare(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	for _, c := range []struct {
		name                  string
		calls, flights, batch int
		trips                 int
		took                  time.Duration
		silent                map[int]bool
		down                  error
	}{
		{name: "as many as fly", calls: 4, trips: 4, took: time.Second},
		{name: "one more", calls: 5, trips: 5, took: 2 * time.Second},
		{name: "many", calls: 60, trips: 5, took: 2 * time.Second},
		{name: "more than a batch", calls: 25, flights: 1, batch: 10, trips: 4, took: 4 * time.Second},
		{name: "a call without an answer", calls: 10, flights: 1, trips: 2, took: 2 * time.Second, silent: map[int]bool{7: true}},
		{name: "a batch that fails", calls: 10, flights: 1, trips: 2, took: 2 * time.Second, down: errors.New("down")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &server{silent: c.silent, down: c.down, fail: map[int]error{3: refused}}
				g := s.group(flight.Config[int, string]{Flights: c.flights, Batch: c.batch})
				began := time.Now()
				var wg sync.WaitGroup
				for i := range c.calls {
					wg.Go(func() {
						r, err := g.Do(t.Context(), i)
						alone := r == fmt.Sprintf("one %d", i)
						switch {
						case i == 3 && errors.Is(err, refused):
						case c.silent[i] && errors.Is(err, flight.ErrUnanswered):
						case c.down != nil && errors.Is(err, c.down):
						case i == 3, c.silent[i], err != nil, !alone && r != fmt.Sprintf("many %d", i):
							t.Errorf("call %d: %q, %v", i, r, err)
						}
					})
					synctest.Wait() // they come one after another
				}
				wg.Wait()
				if took := time.Since(began); took != c.took || len(s.trips) != c.trips {
					t.Errorf("%d trips in %s, want %d in %s: %v", len(s.trips), took, c.trips, c.took, s.trips)
				}
				if r, err := g.Do(t.Context(), 100); r != "one 100" || err != nil {
					t.Errorf("afterwards: %q, %v", r, err)
				}
			})
		})
	}
}

// TestCallersGiveUp: whoever stops waiting returns at once and holds up nobody,
// in the queue, as a passenger and as the one who leads.
func TestCallersGiveUp(t *testing.T) {
	t.Parallel()
	for name, patience := range map[string]time.Duration{
		"in the queue":   500 * time.Millisecond,
		"in the batch":   1500 * time.Millisecond,
		"as it lands":    time.Second,
		"before it came": 0,
	} {
		for _, impatient := range []int{1, 2, 5} { // 1 leads
			t.Run(fmt.Sprintf("%s, call %d", name, impatient), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := &server{}
					g := s.group(flight.Config[int, string]{Flights: 1})
					began := time.Now()
					var wg sync.WaitGroup
					for i := range 6 {
						wg.Go(func() {
							ctx, cancel := t.Context(), context.CancelFunc(func() {})
							if i == impatient {
								ctx, cancel = context.WithTimeout(ctx, patience)
							}
							defer cancel()
							_, err := g.Do(ctx, i)
							took := time.Since(began)
							if i != impatient && (err != nil || took > 2*time.Second) {
								t.Errorf("call %d: %v after %s", i, err, took)
							}
							if i == impatient && (!errors.Is(err, context.DeadlineExceeded) || took != patience) {
								t.Errorf("call %d: %v after %s, want its own deadline after %s", i, err, took, patience)
							}
						})
						synctest.Wait()
					}
					wg.Wait()
					time.Sleep(time.Minute)
					if r, err := g.Do(t.Context(), 100); r != "one 100" || err != nil {
						t.Errorf("afterwards: %q, %v", r, err)
					}
				})
			})
		}
	}
}

// TestBatchIsBounded: one that hangs ends with its timeout, whoever waits.
func TestBatchIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := flight.New(flight.Config[int, string]{
			Flights: 1, Timeout: 3 * time.Second,
			One: func(context.Context, int) (string, error) { time.Sleep(time.Second); return "", nil },
			Many: func(ctx context.Context, _ []int, _ func(int, string, error)) {
				<-ctx.Done()
			},
		})
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				if _, err := g.Do(t.Context(), i); i > 0 && (!errors.Is(err, flight.ErrUnanswered) || time.Since(began) != 4*time.Second) {
					t.Errorf("call %d: %v after %s", i, err, time.Since(began))
				}
			})
			synctest.Wait()
		}
		wg.Wait()
	})
}
