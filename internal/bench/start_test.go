package bench_test

import (
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"lastmile/internal/bench"
	"lastmile/internal/e2e/harness"
	"lastmile/internal/patience"
	"lastmile/internal/repo"
)

// BenchmarkFirstPage measures from `make run` to the first page, on a warm
// module and build cache.
func BenchmarkFirstPage(b *testing.B) {
	root := must(repo.Root())(b)
	var times bench.Times
	for range b.N {
		addr := harness.FreeAddr(b)
		cmd := exec.Command("make", "run")
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "LASTMILE_ADDR="+addr)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // make, go and the program end together
		start := time.Now()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		patience.UntilSaid(b, "the first page", func() (bool, string) { return answers(b, "http://"+addr+"/reports") })
		times = append(times, time.Since(start))
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
			b.Error(err)
		}
		_ = cmd.Wait() // it was killed
	}
	times.Report(b, "first-page")
	b.ReportMetric(0, "ns/op")
}

func answers(b *testing.B, url string) (bool, string) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	if err != nil {
		return false, err.Error()
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err.Error()
	}
	return res.Body.Close() == nil && res.StatusCode == http.StatusOK, res.Status
}
