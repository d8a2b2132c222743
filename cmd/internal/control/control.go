// Package control lets a page kill and stop the processes of the demonstration.
// The demonstration's parent process answers, and its children ask. It starts and
// kills nothing itself: package main of cmd/internal/demo does.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Process is one of the demonstration's processes, as its parent sees it.
type Process struct {
	// Name is such as "web-1", and Role what it does in a few words.
	Name string `json:"name"`
	Role string `json:"role"`
	// State is where it stands.
	State State `json:"state"`
	// PID is its number while it lives.
	PID int `json:"pid,omitempty"`
	// Deaths counts how often it was killed.
	Deaths int `json:"deaths"`
	// CanPause tells that it can be stopped for a while. All can be killed.
	CanPause bool `json:"can_pause"`
}

// State is where a process stands.
type State string

// The states of a process.
const (
	Running State = "running"
	Paused  State = "paused"
	Down    State = "down" // and about to be started again
)

// Do is what can be done to a process.
type Do string

// What can be done to a process.
const (
	Kill   Do = "kill"   // SIGKILL: it has no time for anything
	Pause  Do = "pause"  // SIGSTOP, for at most ten seconds
	Resume Do = "resume" // SIGCONT
)

// Actions are all of them.
func Actions() []Do { return []Do{Kill, Pause, Resume} }

// Request asks for something to be done. The same ID is obeyed once: the page that
// asks may be served by the process that dies of it, and ask again.
type Request struct {
	ID      string `json:"id"`
	Process string `json:"process"`
	Do      Do     `json:"do"`
}

// ErrRefused means that the parent does not do it: there is no such process, or
// it cannot be done to it now.
var ErrRefused = errors.New("control: refused")

// Client asks the parent. It is safe for concurrent use.
type Client struct {
	base *url.URL
	http *http.Client
}

// New returns a client. address is the parent's, with its password:
// http://:password@127.0.0.1:1234.
func New(address string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.User == nil {
		return nil, errors.New("control: the address must be of the form http://:password@host:port")
	}
	return &Client{base: u, http: &http.Client{Timeout: 2 * time.Second}}, nil
}

// Processes returns all processes, in the order in which they are shown.
func (c *Client) Processes(ctx context.Context) ([]Process, error) {
	var all []Process
	return all, c.call(ctx, http.MethodGet, nil, &all)
}

// Do asks for something to be done to a process. It returns ErrRefused when that is
// not done.
func (c *Client) Do(ctx context.Context, r Request) error {
	if !slices.Contains(Actions(), r.Do) {
		return fmt.Errorf("%w: %q is none of %v", ErrRefused, r.Do, Actions())
	}
	return c.call(ctx, http.MethodPost, r, nil)
}

func (c *Client) call(ctx context.Context, method string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base.JoinPath("processes").String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	res, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("control: %w", redact(err))
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	switch {
	case err != nil:
		return fmt.Errorf("control: %w", err)
	case res.StatusCode == http.StatusConflict:
		return fmt.Errorf("%w: %s", ErrRefused, strings.TrimSpace(string(answer)))
	case res.StatusCode >= http.StatusBadRequest:
		return fmt.Errorf("control: the parent answers %s", res.Status)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// redact takes the address, which holds the password, out of an error.
func redact(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
