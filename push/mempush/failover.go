package mempush

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"lastmile/push"
)

var _ push.Replication = (*Transport)(nil)

// Replicate makes a copy of all that is stored, as a replica that has it all
// at this moment and nothing from then on, for tests. The returned promote puts
// the copy in the store's place, as a failover does that loses what was stored
// meanwhile; every node is told that hints may have been lost.
func (t *Transport) Replicate() (promote func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.copies++
	name := t.copies
	t.replicas[name] = t.appends
	saved := t.branch()
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.boxes, t.conns, t.views, t.dead, t.letters = saved.boxes, saved.conns, saved.views, saved.dead, saved.letters
		delete(t.replicas, name)
		t.promoted++
		for _, n := range t.nodes {
			n.resync()
		}
	}
}

// branch copies what is stored.
func (t *Transport) branch() *Transport {
	to := &Transport{
		boxes: make(map[string]*mailbox, len(t.boxes)), dead: slices.Clone(t.dead), letters: t.letters,
		conns: make(map[connKey]*record[push.ConnRecord], len(t.conns)),
		views: make(map[viewKey]*record[push.ViewRecord], len(t.views)),
	}
	for session, box := range t.boxes {
		b := *box
		b.entries, b.parked = slices.Clone(b.entries), slices.Clone(b.parked)
		b.ids, b.keys, b.starts, b.routes = maps.Clone(b.ids), maps.Clone(b.keys), maps.Clone(b.starts), maps.Clone(b.routes)
		to.boxes[session] = &b
	}
	for key, r := range t.conns {
		c := *r
		to.conns[key] = &c
	}
	for key, r := range t.views {
		v := *r
		to.views[key] = &v
	}
	return to
}

// Masters implements push.Replication: one server, whose replicas are what
// Replicate has made. Offsets count appends.
func (t *Transport) Masters(ctx context.Context) ([]push.Master, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := push.Master{ID: "memory " + strconv.Itoa(t.promoted), Offset: t.appends, Replicas: map[string]int64{}, Followed: t.copies > 0}
	for name, offset := range t.replicas {
		m.Replicas[strconv.Itoa(name)] = offset
	}
	return []push.Master{m}, ctx.Err()
}

// Awaited implements push.Replication: an append waits for no replica.
func (t *Transport) Awaited() int { return 0 }
