package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lastmile/cmd/internal/config"
	"lastmile/internal/terminal"
	"lastmile/push"
)

// deadInfo is a dead letter as it is printed. The session is a secret, so only
// its beginning is.
type deadInfo struct {
	ID       string          `json:"id"`
	At       time.Time       `json:"at"`
	Reason   push.Reason     `json:"reason"`
	Action   string          `json:"action"`
	Session  string          `json:"session"`
	PushID   string          `json:"push_id"`
	Sent     time.Time       `json:"sent"`
	Attempts int             `json:"attempts"`
	Node     string          `json:"node,omitempty"`
	Error    string          `json:"error,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
}

func describeDead(l push.DeadLetter) deadInfo {
	return deadInfo{
		ID: l.ID, At: l.At, Reason: l.Reason, Action: l.Entry.Action, Session: push.Redact(l.Entry.Session), PushID: l.Entry.ID,
		Sent: l.Entry.Seq.Time(), Attempts: l.Attempts, Node: l.Node, Error: l.Error, Data: l.Entry.Data,
	}
}

// deadQuery selects dead letters.
type deadQuery struct {
	Session string `name:"session" help:"Dead letters of this session only."`
	Reason  string `name:"reason" placeholder:"REASON" help:"Dead letters of this reason only: error, panic, timeout, rejected, decode, crash-loop, expired or unknown-action."`
}

func (q deadQuery) query() (push.DeadQuery, error) {
	switch r := push.Reason(q.Reason); r {
	case "", push.ReasonError, push.ReasonPanic, push.ReasonTimeout, push.ReasonRejected, push.ReasonDecode,
		push.ReasonCrashLoop, push.ReasonExpired, push.ReasonUnknownAction:
		return push.DeadQuery{Session: q.Session, Reason: r}, nil
	}
	return push.DeadQuery{}, fmt.Errorf("%w: --reason=%s: must be error, panic, timeout, rejected, decode, crash-loop, expired or unknown-action", config.ErrUsage, q.Reason)
}

// deadList is "worker dead list".
type deadList struct {
	deadQuery
	After string `name:"after" help:"Continue behind the dead letter of this ID."`
	Limit int    `name:"limit" default:"100" help:"How many to list."`
}

// Run lists dead letters.
func (c *deadList) Run(ctx context.Context, t *tools) error {
	if err := config.Range("limit", c.Limit, 1, 1000); err != nil {
		return err
	}
	q, err := c.query()
	if err != nil {
		return err
	}
	q.After, q.Limit = c.After, c.Limit
	letters, err := t.transport.DeadLetters().List(ctx, q)
	if err != nil {
		return err
	}
	list, rows := []deadInfo{}, [][]string{}
	for _, l := range letters {
		d := describeDead(l)
		d.Data = nil
		list = append(list, d)
		rows = append(rows, []string{d.ID, terminal.Stamp(d.At), string(d.Reason), d.Action, d.Session, strconv.Itoa(d.Attempts), d.Error})
	}
	return t.out.Table(list, []string{"ID", "AT", "REASON", "ACTION", "SESSION", "ATTEMPTS", "ERROR"}, rows)
}

// deadShow is "worker dead show ID".
type deadShow struct {
	ID string `arg:"" help:"The dead letter's ID."`
}

// Run shows a dead letter.
func (c *deadShow) Run(ctx context.Context, t *tools) error {
	l, err := t.transport.DeadLetters().Get(ctx, c.ID)
	if err != nil {
		return err
	}
	d := describeDead(l)
	var b strings.Builder
	for _, f := range [][2]string{
		{"id", d.ID},
		{"at", terminal.Stamp(d.At)},
		{"reason", string(d.Reason)},
		{"action", d.Action},
		{"session", d.Session},
		{"push", d.PushID},
		{"sent", terminal.Stamp(d.Sent)},
		{"attempts", strconv.Itoa(d.Attempts)},
		{"node", d.Node},
		{"error", d.Error},
		{"data", string(d.Data)},
	} {
		if f[1] != "" {
			fmt.Fprintf(&b, "%-8s %s\n", f[0], f[1])
		}
	}
	return t.out.Print(d, strings.TrimSuffix(b.String(), "\n"))
}

// deadReplay is "worker dead replay ID...".
type deadReplay struct {
	IDs []string `arg:"" name:"id" help:"IDs of dead letters."`
}

// Run sends dead letters again, in the order given, and goes on when one cannot
// be. Repeating it stores nothing twice.
func (c *deadReplay) Run(ctx context.Context, t *tools) error {
	type replayed struct {
		ID     string `json:"id"`
		PushID string `json:"push_id"`
		Nodes  int    `json:"nodes"`
	}
	list, rows := []replayed{}, [][]string{}
	var failed []error
	for _, id := range c.IDs {
		r, err := t.transport.DeadLetters().Replay(ctx, id)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		list = append(list, replayed{id, r.ID, r.Nodes})
		rows = append(rows, []string{id, r.ID, strconv.Itoa(r.Nodes)})
	}
	return errors.Join(append(failed, t.out.Table(list, []string{"ID", "PUSH", "NODES"}, rows))...)
}

// deadPurge is "worker dead purge".
type deadPurge struct {
	deadQuery
	All bool `name:"all" help:"Needed when neither a session nor a reason is given."`
}

// Run removes dead letters.
func (c *deadPurge) Run(ctx context.Context, t *tools) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	if q.Session == "" && q.Reason == "" && !c.All {
		return fmt.Errorf("%w: --all=false: must be given to remove every dead letter; or name a --session or a --reason", config.ErrUsage)
	}
	n, err := t.transport.DeadLetters().Purge(ctx, q)
	if err != nil {
		return err
	}
	return t.out.Print(map[string]int{"removed": n}, fmt.Sprintf("%d removed", n))
}
