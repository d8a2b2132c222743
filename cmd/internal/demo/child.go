package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"lastmile/cmd/internal/control"
)

const (
	restartAfter = time.Second      // as a supervisor would
	pausedAtMost = 30 * time.Second // a visitor may forget
	stopWithin   = 8 * time.Second
)

// child is a process that is started again whenever it ends. Its methods are safe
// for concurrent use; run owns the process.
type child struct {
	name, role, path string
	args, env        []string
	stdin            string // what it reads, each time
	pausable         bool
	log              *slog.Logger
	out              io.Writer // of *logs

	mu     sync.Mutex // guards what follows
	cmd    *exec.Cmd  // while it lives
	paused int        // counts pauses; odd while one lasts
	deaths int
}

// run keeps it alive until ctx ends, and stops it then.
func (c *child) run(ctx context.Context) error {
	for {
		if err := c.live(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(restartAfter):
		}
	}
}

// live is one life. Only a program that cannot be started at all is an error.
func (c *child) live(ctx context.Context) error {
	cmd := exec.Command(c.path, c.args...) //nolint:gosec,noctx // our own programs; it ends by a signal, below
	cmd.Env = append(inherited(), c.env...)
	cmd.Stdin = strings.NewReader(c.stdin)
	out := &prefixed{to: c.out, name: c.name}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = apart()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s (make demo builds it): %w", c.path, err)
	}
	c.mu.Lock()
	c.cmd = cmd
	c.paused += c.paused % 2
	c.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // however it ended, it is started again
	}()
	select {
	case <-done:
	case <-ctx.Done():
		stop(cmd, done)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cmd = nil
	if ctx.Err() == nil {
		c.deaths++
	}
	return nil
}

// stop asks a process to end, and kills it when it does not.
func stop(cmd *exec.Cmd, done <-chan struct{}) {
	_ = cmd.Process.Signal(syscall.SIGCONT) // it may have ended by itself
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-done:
	case <-time.After(stopWithin):
		_ = cmd.Process.Kill()
		<-done
	}
}

// look returns how it stands.
func (c *child) look() control.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := control.Process{Name: c.name, Role: c.role, State: control.Down, Deaths: c.deaths, CanPause: c.pausable}
	if c.cmd != nil {
		p.State, p.PID = control.Running, c.cmd.Process.Pid
		if c.paused%2 == 1 {
			p.State = control.Paused
		}
	}
	return p
}

// do kills, pauses or resumes it.
func (c *child) do(what control.Do) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	paused := c.paused%2 == 1
	switch {
	case c.cmd == nil:
		return fmt.Errorf("%s is down", c.name)
	case what == control.Kill:
		c.log.Info("kill", "process", c.name)
		return c.cmd.Process.Kill()
	case !c.pausable || what == control.Pause == paused:
		return fmt.Errorf("%s cannot %s now", c.name, what)
	}
	return c.turn(what == control.Pause)
}

// turn stops the process or has it go on. c.mu is held.
func (c *child) turn(pause bool) error {
	signal := syscall.SIGCONT
	if pause {
		signal = syscall.SIGSTOP
	}
	if err := c.cmd.Process.Signal(signal); err != nil {
		return err
	}
	c.paused++
	if this := c.paused; pause {
		time.AfterFunc(pausedAtMost, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.cmd != nil && c.paused == this {
				_ = c.turn(false) // it has ended in this moment
			}
		})
	}
	return nil
}

// inherited is the environment without what configures our programs.
func inherited() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "LASTMILE_") && !strings.HasPrefix(v, "REDIS_URL=") && !strings.HasPrefix(v, "LOG_") {
			env = append(env, v)
		}
	}
	return env
}

// logs is where all that the processes say goes, line by line.
type logs struct {
	mu    sync.Mutex
	to    io.Writer
	all   bool
	known string // part of warnings that are of no news here, if any
}

func (l *logs) Write(line []byte) (int, error) {
	quiet := !bytes.Contains(line, []byte("level=WARN")) && !bytes.Contains(line, []byte("level=ERROR"))
	quiet = quiet || (l.known != "" && bytes.Contains(line, []byte(l.known)))
	if quiet && !l.all {
		return len(line), nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(line)
}

// prefixed puts a process's name before each of its lines.
type prefixed struct {
	to   io.Writer
	name string
	rest []byte
}

// maxLine bounds a line that does not end.
const maxLine = 64 << 10

func (p *prefixed) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		i := bytes.IndexByte(p.rest, '\n')
		if i < 0 && len(p.rest) > maxLine {
			i = len(p.rest) - 1
		}
		if i < 0 {
			return len(b), nil
		}
		line := fmt.Appendf(nil, "%-9s %s\n", p.name, p.rest[:i])
		p.rest = p.rest[i+1:]
		if _, err := p.to.Write(line); err != nil {
			return 0, errors.Join(errors.New("write the log"), err)
		}
	}
}
