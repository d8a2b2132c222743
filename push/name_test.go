package push_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"lastmile/push"
	"lastmile/push/mempush"
)

var defaultStore = mempush.Config{}

func TestValidAction(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"A", "DataLoaded", "Start2", "Über_7", "X_"} {
		if err := push.ValidAction(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "start", "2Start", "_Start", "A B", "A-B", "A.B", "A\n", "A\xff", strings.Repeat("A", 129)} {
		if err := push.ValidAction(name); !errors.Is(err, push.ErrInvalid) {
			t.Errorf("%q: got %v, want ErrInvalid", name, err)
		}
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "…", "a": "…", "abcd": "ab…", "ABCDEFGHIJKLMNOPQRSTUVWXYZ": "ABCDEF…", "üüüüüüü": "üüü…", "aüüüüüüü": "aüü…",
	} {
		if got := push.Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNewID(t *testing.T) {
	t.Parallel()
	a, b := push.NewID(), push.NewID()
	if a == b || len(a) < 26 || len(a) > push.MaxIDLen {
		t.Errorf("IDs %q and %q", a, b)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	const base, ceiling = 50 * time.Millisecond, 5 * time.Second
	for attempt, most := range map[int]time.Duration{
		-1: base, 0: base, 1: 2 * base, 4: 16 * base, 6: 64 * base, 7: ceiling, 61: ceiling, 62: ceiling, 1 << 40: ceiling,
	} {
		longest := time.Duration(0)
		for range 2000 {
			d := push.Backoff(attempt, base, ceiling)
			if d < 0 || d > most {
				t.Fatalf("attempt %d: %s, want at most %s", attempt, d, most)
			}
			longest = max(longest, d)
		}
		if longest < most/2 {
			t.Errorf("attempt %d: at most %s of 2,000, want jitter up to %s", attempt, longest, most)
		}
	}
	for _, d := range []time.Duration{push.Backoff(3, 0, ceiling), push.Backoff(3, base, 0), push.Backoff(0, -1, -1)} {
		if d != 0 {
			t.Errorf("got %s, want none", d)
		}
	}
	if d := push.Backoff(0, ceiling, base); d > base {
		t.Errorf("got %s, want at most the maximum", d)
	}
}

func TestSeq(t *testing.T) {
	t.Parallel()
	const n = push.Seq(1_700_000_000_123_456)
	if got, err := push.ParseSeq(n.String()); err != nil || got != n {
		t.Errorf("got %s, %v", got, err)
	}
	if want := time.UnixMicro(1_700_000_000_123_456); !n.Time().Equal(want) {
		t.Errorf("got %s, want %s", n.Time(), want)
	}
	for _, s := range []string{"", "-1", "x", "9223372036854775808"} {
		if _, err := push.ParseSeq(s); err == nil {
			t.Errorf("%q: no error", s)
		}
	}
}
