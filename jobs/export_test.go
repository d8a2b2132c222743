package jobs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"lastmile/jobs/internal/tasks"
)

// OpenJobs returns the jobs of a shard that are open or have an undelivered event.
func (c *Client) OpenJobs(ctx context.Context, shard int) ([]string, error) {
	return c.rdb.ZRange(ctx, c.open(shard), 0, -1).Result()
}

// Take asks for a task as Asynq's server does, and returns its message.
func (p *Pool) Take(ctx context.Context, queue string) (string, error) {
	q := "asynq:{" + queue + "}:"
	s := p.server(p.client.rdb, new(tasks.Hook))
	s.Wake = nil // at once
	return s.EvalSha(ctx, "a8153319360adc71cdc370107f8ab9786f204765",
		[]string{q + "pending", q + "paused", q + "active", q + "lease"}, time.Now().Add(30*time.Second).Unix(), q+"t:").Text()
}

// TakeSHA names the script that takes tasks.
func (c *Client) TakeSHA() string { return c.scripts["take"].Hash() }

// GiveBack gives back what the pool has held for longer than d.
func (p *Pool) GiveBack(ctx context.Context, d time.Duration) { holder{p}.giveBack(ctx, d) }

// Tidy compares the index with the records, as watchdogs do.
func (c *Client) Tidy(ctx context.Context) error { return c.watchdog.tidy(ctx) }

// Index returns all entries of the index.
func (c *Client) Index(ctx context.Context) ([]string, error) {
	var all []string
	for n := range shards {
		some, err := c.rdb.ZRange(ctx, c.listing(n), 0, -1).Result()
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// IndexFaults tells in what the index and the records do not agree.
func (c *Client) IndexFaults(ctx context.Context) (faults []string, err error) {
	listed, err := c.Index(ctx)
	if err != nil {
		return nil, err
	}
	entries := map[string]bool{}
	for _, e := range listed {
		entries[e] = true
	}
	for n := range shards {
		keys, err := c.rdb.Keys(ctx, c.tag(n)+"r:*").Result()
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			id := strings.TrimPrefix(key, c.tag(n)+"r:")
			r, err := c.load(ctx, id)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				maps.DeleteFunc(entries, func(e string, _ bool) bool { return strings.Contains(e, id) }) // a test has made it unreadable
				continue
			}
			e := entry(r.State, r.Kind, r.Queue, r.Created, r.Ended, id)
			if !entries[e] {
				faults = append(faults, fmt.Sprintf("no entry %q", e))
			}
			delete(entries, e)
		}
	}
	for e := range entries {
		l, err := parseEntry(e)
		if err != nil {
			return nil, err
		}
		if l.state.Ended() {
			continue // its record has expired
		}
		if _, err := plainInfo(c, l.id); errors.Is(err, ErrNotFound) {
			faults = append(faults, fmt.Sprintf("neither record nor task of entry %q", e))
		} else if err != nil {
			return nil, err
		}
	}
	return faults, nil
}
