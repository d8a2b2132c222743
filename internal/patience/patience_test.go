package patience_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lastmile/internal/patience"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// failing is a test that notes its failure.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	panic(f)
}

// said returns what a wait fails with, or nothing.
func said(wait func(t testing.TB)) (text string) {
	f := &failing{}
	defer func() {
		if r := recover(); r != nil && r != any(f) {
			panic(r)
		}
		text = f.said
	}()
	wait(f)
	return ""
}

func TestWaitsEndWithWhatTheyWaitFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		since := time.Now()
		late := func() bool { return time.Since(since) > 9*time.Minute }
		for name, wait := range map[string]func(t testing.TB){
			"until": func(tb testing.TB) {
				tb.Helper()
				patience.Until(tb, "the moon", func() bool { return false })
			},
			"said": func(tb testing.TB) {
				tb.Helper()
				patience.UntilSaid(tb, "the moon", func() (bool, string) { return false, "the moon is away" })
			},
			"receive": func(tb testing.TB) {
				tb.Helper()
				patience.Receive(tb, "the moon", make(chan int))
			},
		} {
			if got := said(wait); !strings.Contains(got, "the moon") || !strings.Contains(got, "10m0s") {
				t.Errorf("%s: fails with %q", name, got)
			}
		}
		since = time.Now()
		patience.Until(t, "a slow machine", late)
		ch := make(chan string, 1)
		ch <- "there"
		if got := patience.Receive(t, "it", ch); got != "there" {
			t.Errorf("received %q", got)
		}
	})
}
