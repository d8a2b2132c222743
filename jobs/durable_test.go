package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// ledger notes which steps really ran.
type ledger struct {
	mu  sync.Mutex
	ran []string
}

// do is a step that notes that it ran.
func (l *ledger) do(ctx context.Context, name string, opts ...jobs.StepOption) error {
	_, err := jobs.Do(ctx, name, func(ctx context.Context) (string, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ran = append(l.ran, jobs.StepID(ctx))
		return "did " + name, nil
	}, opts...)
	return err
}

// took returns the names of what has run since the last call.
func (l *ledger) took() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, id := range l.ran {
		_, name, _ := strings.Cut(id, ".")
		_, name, _ = strings.Cut(name, ".")
		names = append(names, name)
	}
	l.ran = nil
	return strings.Join(names, " ")
}

func (l *ledger) all(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := l.do(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

var errLater = errors.New("later")

// TestStepsAndChangedCode: what a second run does about the steps of the first, which
// did charge, mail and mail, for each way in which its code may differ.
func TestStepsAndChangedCode(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		second func(ctx context.Context, l *ledger) error
		ran    string
		want   error
	}{
		"the same":       {func(ctx context.Context, l *ledger) error { return l.all(ctx, "charge", "mail", "mail") }, "", nil},
		"one more":       {func(ctx context.Context, l *ledger) error { return l.all(ctx, "charge", "mail", "mail", "log") }, "log", nil},
		"one more round": {func(ctx context.Context, l *ledger) error { return l.all(ctx, "charge", "mail", "mail", "mail") }, "mail#3", nil},
		"stops before":   {func(ctx context.Context, l *ledger) error { return l.all(ctx, "charge") }, "", nil},
		"renamed":        {func(ctx context.Context, l *ledger) error { return l.all(ctx, "pay", "mail", "mail") }, "", jobs.ErrStepChanged},
		"renamed, and said so": {func(ctx context.Context, l *ledger) error {
			return errors.Join(l.do(ctx, "pay", jobs.Renamed("charge")), l.all(ctx, "mail", "mail"))
		}, "", nil},
		"renamed twice": {func(ctx context.Context, l *ledger) error {
			return errors.Join(l.do(ctx, "pay", jobs.Renamed("bill"), jobs.Renamed("charge")), l.all(ctx, "mail", "mail"))
		}, "", nil},
		"moved":    {func(ctx context.Context, l *ledger) error { return l.all(ctx, "mail", "charge", "mail") }, "", jobs.ErrStepChanged},
		"inserted": {func(ctx context.Context, l *ledger) error { return l.all(ctx, "check", "charge") }, "", jobs.ErrStepChanged},
		"inserted, and said so": {func(ctx context.Context, l *ledger) error {
			return errors.Join(l.do(ctx, "check", jobs.Unordered()), l.all(ctx, "charge", "mail", "mail", "log"))
		}, "check log", nil},
		"moved, and said so": {func(ctx context.Context, l *ledger) error {
			return errors.Join(l.do(ctx, "mail", jobs.Unordered()), l.do(ctx, "charge", jobs.Unordered()), l.all(ctx, "mail", "log"))
		}, "log", nil},
		"removed":  {func(ctx context.Context, l *ledger) error { return l.all(ctx, "mail", "mail") }, "", jobs.ErrStepChanged},
		"replaced": {func(ctx context.Context, l *ledger) error { return l.all(ctx, "charge", "post") }, "", jobs.ErrStepChanged},
		"another type": {func(ctx context.Context, _ *ledger) error {
			_, err := jobs.Do(ctx, "charge", func(context.Context) (int, error) { return 1, nil })
			return err
		}, "", jobs.ErrStepType},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				var l ledger
				var got error
				kind := define(jobs.MaxRetry(1))
				start(k, kind, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
					if j.Attempt == 1 {
						return result{}, cmpErr(l.all(ctx, "charge", "mail", "mail"), errLater)
					}
					if first := l.took(); first != "charge mail mail#2" {
						t.Errorf("the first run did %q", first)
					}
					got = tc.second(ctx, &l)
					return result{}, got
				})
				k.Wait(enqueue(t, k, kind))
				if !errors.Is(got, tc.want) {
					t.Errorf("got %v, want %v", got, tc.want)
				}
				if ran := l.took(); ran != tc.ran {
					t.Errorf("the second run did %q, want %q", ran, tc.ran)
				}
			})
		})
	}
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// invoice is a result with more than one field.
type invoice struct {
	Number int               `json:"number"`
	Lines  []string          `json:"lines"`
	By     map[string]string `json:"by,omitempty"`
	At     time.Time         `json:"at"`
	Next   *invoice          `json:"next,omitempty"`
}

// TestStepsResultsAndErrors: what a step came to is the same in each run.
func TestStepsResultsAndErrors(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		made := invoice{Number: 7, Lines: []string{"a", "ü\x00"}, At: time.Unix(1, 0).UTC(), Next: &invoice{Number: 8, At: time.Unix(2, 0).UTC()}}
		var seen []string
		tries := map[string]int{}
		kind := define(jobs.MaxRetry(2))
		start(k, kind, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
			inv, err := jobs.Do(ctx, "invoice", func(context.Context) (invoice, error) { tries["invoice"]++; return made, nil })
			seen = append(seen, fmt.Sprint(inv.Number, inv.Lines, inv.At, inv.Next.Number, err))
			_, err = jobs.Do(ctx, "nothing", func(context.Context) (struct{}, error) { tries["nothing"]++; return struct{}{}, nil })
			seen = append(seen, fmt.Sprint(err))
			_, err = jobs.Do(ctx, "refused", func(context.Context) (int, error) {
				tries["refused"]++
				return 0, jobs.Final(jobs.UserError("declined", "The card was declined."))
			})
			seen = append(seen, fmt.Sprint(err))
			_, err = jobs.Do(ctx, "gone", func(context.Context) (int, error) { tries["gone"]++; return 0, jobs.Final(errors.New("gone for good")) })
			seen = append(seen, fmt.Sprint(err))
			_, err = jobs.Do(ctx, "flaky", func(context.Context) (int, error) {
				if tries["flaky"]++; tries["flaky"] < 3 {
					return 0, errLater
				}
				return 3, nil
			})
			if err != nil {
				return result{}, err
			}
			return result{j.Attempt}, nil
		})
		id := enqueue(t, k, kind)
		if i := k.Wait(id); i.State != jobs.StateCompleted || i.Attempt != 3 {
			t.Errorf("it is %s after %d attempts", i.State, i.Attempt)
		}
		per := len(seen) / 3
		if len(seen) != 12 || !slices.Equal(seen[:per], seen[per:2*per]) || !slices.Equal(seen[:per], seen[2*per:]) {
			t.Errorf("the runs got\n%s", strings.Join(seen, "\n"))
		}
		if seen[2] != "The card was declined." || seen[3] != "gone for good" {
			t.Errorf("errors that are final: %q, %q", seen[2], seen[3])
		}
		for name, n := range map[string]int{"invoice": 1, "nothing": 1, "refused": 1, "gone": 1, "flaky": 3} {
			if tries[name] != n {
				t.Errorf("%s ran %d times, want %d", name, tries[name], n)
			}
		}
		steps, err := jobs.DoneSteps(t.Context(), k.Client, id)
		var names []string
		for _, s := range steps {
			names = append(names, s.Name)
		}
		if want := []string{"invoice", "nothing", "refused", "gone", "flaky"}; err != nil || !slices.Equal(names, want) {
			t.Errorf("stored are %v (error %v), want %v", names, err, want)
		}
	})
}

// TestStepsThatAreRefused: what cannot be a step is said before it does anything.
func TestStepsThatAreRefused(t *testing.T) {
	t.Parallel()
	none := func(context.Context) (int, error) { return 0, errors.New("ran") }
	if _, err := jobs.Do(t.Context(), "outside", none); !errors.Is(err, jobs.ErrInvalid) {
		t.Errorf("outside of a handler: %v", err)
	}
	for name, tc := range map[string]struct {
		do   func(ctx context.Context) error
		want string
	}{
		"no name":    {func(ctx context.Context) error { _, err := jobs.Do(ctx, "", none); return err }, "1 to 128 bytes"},
		"a number":   {func(ctx context.Context) error { _, err := jobs.Do(ctx, "a#2", none); return err }, "no #"},
		"a long one": {func(ctx context.Context) error { _, err := jobs.Do(ctx, strings.Repeat("x", 129), none); return err }, "1 to 128 bytes"},
		"a bad former name": {func(ctx context.Context) error {
			_, err := jobs.Do(ctx, "a", none, jobs.Renamed(""))
			return err
		}, "renamed"},
		"within another": {func(ctx context.Context) error {
			_, err := jobs.Do(ctx, "a", func(ctx context.Context) (int, error) { return jobs.Do(ctx, "b", none) })
			return err
		}, `within step "a"`},
		"beside another": {func(ctx context.Context) error {
			_, err := jobs.Do(ctx, "a", func(context.Context) (int, error) {
				_, err := jobs.Do(context.WithoutCancel(ctx), "b", none)
				return 0, err
			})
			return err
		}, `beside step "a": give both jobs.Unordered()`},
		"a result that is no JSON": {func(ctx context.Context) error {
			_, err := jobs.Do(ctx, "a", func(context.Context) (func(), error) { return nil, nil })
			return err
		}, "cannot be stored"},
		"a result too large": {func(ctx context.Context) error {
			_, err := jobs.Do(ctx, "a", func(context.Context) (string, error) { return strings.Repeat("x", 48<<10), nil })
			return err
		}, "at most 49152 are stored"},
		"too many": {func(ctx context.Context) error {
			var err error
			for i := 0; i <= 1000 && err == nil; i++ {
				_, err = jobs.Do(ctx, "a", func(context.Context) (int, error) { return i, nil })
			}
			return err
		}, "has 1000 steps, at most 1000"},
		"too much": {func(ctx context.Context) error {
			var err error
			for i := 0; i <= 30 && err == nil; i++ {
				_, err = jobs.Do(ctx, "a", func(context.Context) (string, error) { return strings.Repeat("x", 40<<10), nil })
			}
			return err
		}, "at most 1048576 are stored"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define(jobs.MaxRetry(0))
				var got error
				start(k, kind, func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
					got = tc.do(ctx)
					return result{}, nil
				})
				k.Wait(enqueue(t, k, kind))
				if !errors.Is(got, jobs.ErrInvalid) || !strings.Contains(got.Error(), tc.want) {
					t.Errorf("got %v, want %s", got, tc.want)
				}
			})
		})
	}
}

// TestStepsSideBySide: steps without an order may run at once, in any order, in
// every run.
func TestStepsSideBySide(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		var l ledger
		kind := define(jobs.MaxRetry(3))
		start(k, kind, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
			g, part := errgroup.WithContext(ctx)
			for i := range 20 {
				g.Go(func() error {
					_, err := jobs.Do(part, fmt.Sprint("part ", i), func(ctx context.Context) (int, error) {
						time.Sleep(time.Duration((i*7)%13) * time.Millisecond)
						if i%4 == j.Attempt {
							return 0, errLater
						}
						l.mu.Lock()
						defer l.mu.Unlock()
						l.ran = append(l.ran, jobs.StepID(ctx))
						return i, nil
					}, jobs.Unordered())
					return err
				})
			}
			return result{}, g.Wait()
		})
		k.Wait(enqueue(t, k, kind))
		ran := strings.Fields(strings.ReplaceAll(l.took(), "part ", ""))
		slices.Sort(ran)
		if len(ran) != 20 || len(slices.Compact(ran)) != 20 {
			t.Errorf("%d parts ran: %v", len(ran), ran)
		}
	})
}

// TestStepsLiveWithTheirJob: they are kept as long as the record, and a job that is
// opened again begins without.
func TestStepsLiveWithTheirJob(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprint("plain ", plain), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				var l ledger
				kind := define(jobs.MaxRetry(1), jobs.Retention(time.Hour))
				w := start(k, kind, func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
					return result{}, l.all(ctx, "charge", "mail")
				})
				opts := []jobs.Option{notify(k)}
				if plain {
					opts = nil
				}
				h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, opts...)
				if err != nil {
					t.Fatal(err)
				}
				k.Wait(h.ID)
				if ran := l.took(); ran != "charge mail" {
					t.Errorf("it did %q", ran)
				}
				if err := k.Client.Retry(t.Context(), h.ID); err != nil {
					t.Fatal(err)
				}
				k.Wait(h.ID)
				if ran := l.took(); ran != "charge mail" {
					t.Errorf("opened again, it did %q", ran)
				}
				left := func() int {
					keys, err := k.Redis.Keys(t.Context(), "*:d:"+h.ID).Result()
					if err != nil {
						t.Fatal(err)
					}
					return len(keys)
				}
				if left() != 1 {
					t.Error("its steps are not kept")
				}
				if err := w.Stop(); err != nil { // an hour of its watchdog takes a while
					t.Fatal(err)
				}
				time.Sleep(61 * time.Minute)
				if left() != 0 {
					t.Error("its steps outlive the record")
				}
			})
		})
	}
}
