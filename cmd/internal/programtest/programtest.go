// Package programtest runs a program under test as a process of its own: the
// test binary, started again, becomes the program. It kills nothing and knows no
// cluster: package harness does. Only the tests of cmd/web and cmd/worker use it.
package programtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lastmile/internal/patience"
)

const variable = "LASTMILE_PROGRAM_UNDER_TEST"

// Main is for TestMain: in a started process it runs the program and does not
// return, else it returns at once.
func Main(program func()) {
	if os.Getenv(variable) != "" {
		program()
		os.Exit(0)
	}
}

// Result is how a program ended.
type Result struct {
	Code        int
	Out, Errors string
}

// Run runs the program to its end. env are "NAME=value" pairs.
func Run(t testing.TB, env []string, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience.Limit)
	defer cancel()
	cmd := command(ctx, env, args)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatalf("run %v: %v", args, err)
	}
	return Result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func command(ctx context.Context, env, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...) //nolint:gosec // the test binary itself
	own := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "LASTMILE_") || strings.HasPrefix(v, "REDIS_URL=") || strings.HasPrefix(v, "LOG_") || strings.HasPrefix(v, "OTEL_")
	})
	cmd.Env = append(append(own, variable+"=1"), env...)
	return cmd
}

// Process is a program that runs.
type Process struct {
	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{}

	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed and replaced at each line
}

// Start starts the program, which ends with the test at the latest.
func Start(t testing.TB, env []string, args ...string) *Process {
	t.Helper()
	p := &Process{t: t, cmd: command(context.WithoutCancel(t.Context()), env, args), done: make(chan struct{}), more: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatalf("start %v: %v", args, err)
	}
	go func() {
		defer close(p.done)
		p.read(stderr)
		_ = p.cmd.Wait() // its code is asked for by Wait
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.done
		if t.Failed() {
			t.Logf("log of the program:\n%s", p.Log())
		}
	})
	return p
}

func (p *Process) read(r io.Reader) {
	s := bufio.NewScanner(r)
	for s.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, s.Text())
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
}

// Log returns what the program has logged.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// WaitLine waits for a log line with the message and returns its attributes;
// the program must log JSON.
func (p *Process) WaitLine(message string) map[string]any {
	p.t.Helper()
	deadline := time.After(patience.Limit)
	for from := 0; ; {
		p.mu.Lock()
		fresh, more := p.lines[from:], p.more
		from = len(p.lines)
		p.mu.Unlock()
		for _, l := range fresh {
			var attrs map[string]any
			if json.Unmarshal([]byte(l), &attrs) == nil && attrs["msg"] == message {
				return attrs
			}
		}
		select {
		case <-more:
		case <-p.done:
			p.t.Fatalf("the program ended without saying %q:\n%s", message, p.Log())
		case <-deadline:
			p.t.Fatalf("the program did not say %q:\n%s", message, p.Log())
		}
	}
}

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Errorf("signal: %v", err)
	}
}

// Wait waits for the end and returns the exit code, -1 for a signal.
func (p *Process) Wait() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience.Limit):
		p.t.Fatalf("the program does not end:\n%s", p.Log())
		return 0
	}
}
