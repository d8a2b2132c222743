package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Any number of sessions may wait for one job. The first is in the job's record,
// so that no script has to read more for a job that one session waits for; the
// others are in a hash beside it, each with the generation whose end it has. No
// script reads that hash: it is paged.

// audience are sessions that an end is to be sent to.
type audience struct {
	first  []dest // of the record: one or none
	others bool   // there are more beside the record
}

const (
	// tellAtMost is how many sessions are told what goes on before the end.
	tellAtMost = 100
	// othersPage is how many sessions are read, and noted, at once.
	othersPage = 200
	// othersAtOnce is how many of them are sent an end at a time.
	othersAtOnce = 16
)

// some returns the sessions that are told what goes on: all of them up to
// tellAtMost. first is the one of the record, all how many there are.
func (n notifier) some(ctx context.Context, id, first string, all int) []dest {
	raw := []string{first}
	if all > 1 {
		page, _, err := n.c.rdb.HScan(ctx, n.c.others(id), 0, "", tellAtMost).Result()
		if err != nil {
			n.c.log.WarnContext(ctx, "sessions that wait for a job not read", "id", id, "error", err)
		}
		for i := 0; i < len(page) && len(raw) < tellAtMost; i += 2 {
			raw = append(raw, page[i])
		}
	}
	ds, err := parseDests(raw...)
	if err != nil {
		n.c.log.ErrorContext(ctx, "job has an unreadable destination", "id", id, "error", err)
	}
	return ds
}

// sendOthers stores a terminal event with the sessions beside the record that do
// not have it yet.
func (n notifier) sendOthers(ctx context.Context, e *Event, result json.RawMessage) (failed error) {
	key, gen := n.c.others(e.ID), strconv.Itoa(e.Gen)
	for cursor := uint64(0); ; {
		page, next, err := n.c.rdb.HScan(ctx, key, cursor, "", othersPage).Result()
		if err != nil {
			return errors.Join(failed, fmt.Errorf("jobs: read sessions that wait for job %q: %w", e.ID, err))
		}
		var raw []string
		for i := 0; i+1 < len(page); i += 2 {
			if page[i+1] != gen {
				raw = append(raw, page[i])
			}
		}
		for len(raw) > 0 { // a small hash comes whole, whatever was asked for
			part := raw[:min(len(raw), othersPage)]
			raw = raw[len(part):]
			failed = errors.Join(failed, n.sendPage(ctx, e, result, part))
		}
		if cursor = next; cursor == 0 {
			return failed
		}
	}
}

// sendPage stores a terminal event with some sessions, and notes which have it.
func (n notifier) sendPage(ctx context.Context, e *Event, result json.RawMessage, raw []string) error {
	var group errgroup.Group
	group.SetLimit(othersAtOnce)
	var mu sync.Mutex
	var told []string
	var failed error
	for _, text := range raw {
		group.Go(func() error {
			ds, err := parseDests(text)
			if err != nil {
				n.c.log.ErrorContext(ctx, "job has an unreadable destination", "id", e.ID, "error", err)
			} else {
				_, err = n.send(ctx, e, result, ds)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(ds) > 0 && err != nil {
				if failed == nil { // one says it
					failed = err
				}
				return nil
			}
			told = append(told, text)
			return nil
		})
	}
	_ = group.Wait() // what failed is gathered above
	return errors.Join(failed, n.noteTold(ctx, e, nil, told))
}

// noteTold notes what of an undelivered event needs no repetition: that it has
// set off what follows, and who has it. It may be undelivered for longer than the
// mailboxes remember the push's ID.
func (n notifier) noteTold(ctx context.Context, e *Event, fields, others []string) error {
	if len(fields)+len(others) == 0 {
		return nil
	}
	args := []any{e.ID, e.Gen, len(fields)}
	for _, f := range append(fields, others...) {
		args = append(args, f)
	}
	_, err := n.c.number(ctx, "outbox", e.ID, args...)
	return err
}
