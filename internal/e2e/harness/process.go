// Package harness runs real processes for the fault tests: it builds the
// programs, starts them on free loopback ports, kills them by process ID, and
// puts a proxy without stickiness before them. It judges nothing that they do.
// Only tests and benchmarks of internal/ use it.
package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lastmile/internal/patience"
)

// Spec describes a process.
type Spec struct {
	// Name is for messages.
	Name string
	// Path is the program's file.
	Path string
	Args []string
	// Env is added to an environment that holds nothing but PATH and HOME.
	Env []string
}

// Process is a running program. Its methods are safe for concurrent use.
type Process struct {
	spec Spec
	cmd  *exec.Cmd
	out  *tail
	done chan struct{} // closed when the process has ended
}

// Start runs the program, kills it at the end of the test, and logs the end of
// its output when the test failed.
func Start(t testing.TB, s Spec) *Process {
	t.Helper()
	p := &Process{spec: s, out: &tail{}, done: make(chan struct{})}
	p.cmd = exec.Command(s.Path, s.Args...)                                                                                    //nolint:gosec,noctx // runs what the test built, ended by Kill
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "GORACE=halt_on_error=1"}, s.Env...) //nolint:forbidigo // a child of a test
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = dieWithParent()
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("harness: start %s: %v", s.Name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}()
	t.Cleanup(func() {
		p.Kill()
		if out := p.Output(); t.Failed() {
			t.Logf("end of %s's output:\n%s", s.Name, out)
		} else if strings.Contains(out, "WARNING: DATA RACE") {
			t.Errorf("%s has a data race:\n%s", s.Name, out)
		}
	})
	return p
}

// Kill ends the process with SIGKILL and waits for its end. It may have ended
// before.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // fails only when it has ended
	<-p.done
}

// Stop asks the process to end with SIGTERM and fails the test when it does not
// in time, or ends with an error.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience.Limit):
		t.Fatalf("harness: %s did not stop:\n%s", p.spec.Name, p.Output())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("harness: %s stopped with code %d:\n%s", p.spec.Name, code, p.Output())
	}
}

// Pause stops the process where it stands (SIGSTOP).
func (p *Process) Pause(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGSTOP)
}

// Resume lets a paused process go on.
func (p *Process) Resume(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGCONT)
}

// Running tells whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Output returns the end of what the process wrote.
func (p *Process) Output() string { return p.out.String() }

func (p *Process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("harness: signal %s: %v", p.spec.Name, err)
	}
}

// Run runs a program to its end and returns what it wrote to standard output.
func Run(t testing.TB, s Spec) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.Path, s.Args...)                                     //nolint:gosec // runs what the test built
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, s.Env...) //nolint:forbidigo // a child of a test
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("harness: %s: %v\n%s%s", s.Name, err, out, stderr.Bytes())
	}
	return out
}

// tail keeps the last 64 KiB written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 64 << 10

func (w *tail) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, b...)
	if extra := len(w.buf) - tailSize; extra > 0 {
		w.buf = w.buf[extra:]
	}
	return len(b), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.buf)
}

var _ io.Writer = (*tail)(nil)

// String names the process in messages.
func (p *Process) String() string { return fmt.Sprintf("%s[%d]", p.spec.Name, p.cmd.Process.Pid) }
