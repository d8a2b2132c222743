package scaffold_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lastmile/internal/patience"
	"lastmile/internal/repo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func root(t *testing.T) string {
	t.Helper()
	dir, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// goCommand runs go in a directory, with variables added to the environment, and
// returns what it prints.
func goCommand(t *testing.T, dir string, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s%s", strings.Join(args, " "), err, out, &errs)
	}
	return strings.TrimSpace(string(out))
}

var listening = regexp.MustCompile(`listening"? url=(http://\S+)`)

// drive runs the starter's program, uses it as a browser without JavaScript would, and
// stops it.
func drive(t *testing.T, program string) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program)
	cmd.Env = append(os.Environ(), "ADDR=127.0.0.1:0", "REDIS_URL=", "ROLE=")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, said := make(chan string, 1), new(strings.Builder)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			said.WriteString(lines.Text() + "\n")
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
	}()
	stopped := false
	stop := func() error {
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-read
		return cmd.Wait()
	}
	defer func() {
		if !stopped {
			_ = stop() // the test has failed
			t.Log(said.String())
		}
	}()
	select {
	case at := <-address:
		visit(t, at)
	case <-read:
		t.Fatal("the program ended before it listened")
	case <-time.After(patience.Limit):
		t.Fatal("the program does not listen")
	}
	if err := stop(); err != nil {
		t.Errorf("the program ended with %v:\n%s", err, said)
	}
}

// visit presses the page's button and waits for the job's result.
func visit(t *testing.T, address string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
	fetch := func(method string, form url.Values) string {
		req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v\n%s", method, res.Status, err, body)
		}
		return string(body)
	}
	fetch(http.MethodGet, nil)
	fetch(http.MethodPost, url.Values{"live-action": {"Start"}, "to": {"5"}})
	for limit := time.After(patience.Limit); ; {
		body := fetch(http.MethodGet, nil)
		if strings.Contains(body, "counted to 5") {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-limit:
			t.Fatalf("the page never had the result:\n%s", body)
		}
	}
}

// write writes a file below dir.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
