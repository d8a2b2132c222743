package testcount_test

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"lastmile/internal/testcount"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const good = `{"Action":"start","Package":"lastmile/push"}
{"Action":"output","Package":"lastmile/push","Test":"TestA","Output":"    a_test.go:3: report: p50 3 ms\n"}
{"Action":"output","Package":"lastmile/push","Test":"TestA","Output":"    a_test.go:4: chatter\n"}
{"Action":"pass","Package":"lastmile/push","Test":"TestA/one"}
{"Action":"pass","Package":"lastmile/push","Test":"TestA"}
{"Action":"pass","Package":"lastmile/push/mempush","Test":"TestConformance/append"}
{"Action":"pass","Package":"lastmile/live/internal/engine/model","Test":"TestB"}
{"Action":"pass","Package":"lastmile/internal/e2e","Test":"TestBrowserReports"}
{"Action":"pass","Package":"lastmile/internal/e2e","Test":"TestKillWorker"}
{"Action":"pass","Package":"lastmile/internal/browser","Test":"TestStart"}
{"Action":"output","Package":"lastmile/push","Output":"-test.shuffle 99\n"}
{"Action":"output","Package":"lastmile/push","Output":"PASS\n"}
{"Action":"output","Package":"lastmile/push","Output":"ok  \tlastmile/push\t0.1s\n"}
{"Action":"pass","Package":"lastmile/push"}
`

func summary(t *testing.T, events string, require ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	c := testcount.New(&out, testcount.Tiers())
	if err := c.Read(strings.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	err := c.Summary(require)
	return out.String(), err
}

func TestSummary(t *testing.T) {
	t.Parallel()
	out, err := summary(t, good, "unit", "conformance", "engine", "browser", "e2e")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"    TestA: p50 3 ms\n", "ok  \tlastmile/push\t0.1s\n",
		"unit                2        0        0\n",
		"conformance         1        0        0\n",
		"engine              1        0        0\n",
		"browser             2        0        0\n",
		"e2e                 1        0        0\n",
		"\n7 passed, 0 failed, 0 skipped\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
	for _, unwanted := range []string{"chatter", "PASS", "shuffle"} {
		if strings.Contains(out, unwanted) {
			t.Errorf("output has %q:\n%s", unwanted, out)
		}
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, events string
		require      []string
		wantErr      string
		wantOut      string
	}{
		{
			name: "a failing test shows its output and the seed", wantErr: "failed: p TestX", wantOut: "why it failed\n-test.shuffle 7\n",
			events: `{"Action":"output","Package":"p","Output":"-test.shuffle 7\n"}
{"Action":"output","Package":"p","Test":"TestX","Output":"why it failed\n"}
{"Action":"fail","Package":"p","Test":"TestX"}
{"Action":"fail","Package":"p"}`,
		},
		{
			name: "a skip is a failure", wantErr: "skipped (a skipped test proves nothing): p TestX", wantOut: "1 skipped",
			events: `{"Action":"skip","Package":"p","Test":"TestX"}`,
		},
		{
			name: "a package without test files is none", wantOut: "0 skipped",
			events: `{"Action":"skip","Package":"p"}`,
		},
		{
			name: "a panic leaves tests without an end", wantErr: "broken package: p", wantOut: "goroutine 7",
			events: `{"Action":"output","Package":"p","Test":"TestX","Output":"goroutine 7\n"}
{"Action":"fail","Package":"p"}`,
		},
		{
			name: "build output is shown", wantErr: "broken package: p", wantOut: "x.go:1: no\n",
			events: `{"Action":"build-output","ImportPath":"p","Output":"x.go:1: no\n"}
{"Action":"fail","Package":"p"}`,
		},
		{name: "what is no event is shown", events: "no required module", wantOut: "no required module\n"},
		{name: "an empty tier that was asked for", require: []string{"e2e"}, wantErr: "tier e2e ran no test"},
		{name: "a tier that does not exist", require: []string{"moon"}, wantErr: "no such tier: moon"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, err := summary(t, tt.events, tt.require...)
			if got := errText(err); got != tt.wantErr {
				t.Errorf("error %q, want %q", got, tt.wantErr)
			}
			if !strings.Contains(out, tt.wantOut) {
				t.Errorf("output lacks %q:\n%s", tt.wantOut, out)
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
