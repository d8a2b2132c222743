package mempush

import (
	"cmp"
	"slices"
	"time"

	"lastmile/push"
)

// mailbox is one session's. Transport.mu guards it.
type mailbox struct {
	entries []entry // ascending
	parked  []entry // ascending, at or below acked, applied by nobody
	last    push.Seq
	acked   push.Seq
	// trimmed is the highest entry that was acknowledged and is gone, neither
	// in the mailbox nor parked.
	trimmed push.Seq
	ids     map[string]idMark
	keys    map[string]keyMark // Replaces keys
	starts  map[push.Seq]int
	routes  map[string]push.Seq // by node, with the cursor it is known to have
	closed  bool
}

// entry is a push.Entry, with its stored form when that cannot be read.
type entry struct {
	push.Entry
	stored []byte
}

// idMark remembers a push ID.
type idMark struct {
	seq   push.Seq
	until time.Time
}

// keyMark is the latest push of a Replaces key.
type keyMark struct {
	seq   push.Seq
	ended bool // it was the key's final one
}

// seqOf returns the place that a push appended at that time gets.
func seqOf(t time.Time) push.Seq { return push.Seq(max(0, t.UnixMicro())) }

// after returns the entries behind the cursor.
func (box *mailbox) after(cursor push.Seq) []entry {
	i, found := box.find(cursor)
	if found {
		i++
	}
	return box.entries[i:]
}

// find returns the index of the entry, or where it would be.
func (box *mailbox) find(seq push.Seq) (int, bool) { return search(box.entries, seq) }

func search(entries []entry, seq push.Seq) (int, bool) {
	return slices.BinarySearchFunc(entries, seq, func(e entry, seq push.Seq) int {
		switch {
		case e.Seq < seq:
			return -1
		case e.Seq > seq:
			return 1
		}
		return 0
	})
}

// superseded returns the entry whose place a push with the key takes, or zero:
// one that nobody has applied.
func (box *mailbox) superseded(key string) push.Seq {
	mark := box.keys[key]
	if mark.ended || !box.waits(mark.seq) {
		return 0
	}
	return mark.seq
}

// waits reports whether nobody has applied the entry.
func (box *mailbox) waits(seq push.Seq) bool {
	if _, ok := search(box.parked, seq); ok {
		return true
	}
	_, ok := box.find(seq)
	return ok && seq > box.acked
}

// note remembers the entry as the latest of its Replaces key. When there are
// too many keys, it forgets those whose entry has gone, then the oldest ends:
// at least half as many of them as limit stay.
func (box *mailbox) note(e entry, limit int) {
	if e.Replaces == "" {
		return
	}
	box.keys[e.Replaces] = keyMark{e.Seq, e.Final}
	if len(box.keys) <= 2*limit {
		return
	}
	var ends []string
	for key, mark := range box.keys {
		switch {
		case mark.ended:
			ends = append(ends, key)
		case !box.waits(mark.seq):
			delete(box.keys, key)
		}
	}
	slices.SortFunc(ends, func(a, b string) int { return cmp.Compare(box.keys[a].seq, box.keys[b].seq) })
	for _, key := range ends[:min(len(ends), max(0, len(box.keys)-limit-(limit+1)/2))] {
		delete(box.keys, key)
	}
}

// goAtOnce is how many entries a full mailbox lets go of at a time at least.
const goAtOnce = 16

// hasRoom reports whether one more push fits after old is taken out. Before it
// says no it lets go of the oldest history that everybody is known to have seen: a
// reader between two connections stands near the end.
func (box *mailbox) hasRoom(limit int, old push.Seq) bool {
	spare := 0
	if old != 0 {
		spare = 1
	}
	if len(box.entries)+len(box.parked)-spare < limit {
		return true
	}
	seen := box.acked
	for _, cursor := range box.routes {
		seen = min(seen, cursor)
	}
	if n := max(goAtOnce, len(box.entries)+len(box.parked)-limit+1); n <= len(box.entries) {
		seen = min(seen, box.entries[n-1].Seq)
	}
	box.trim(seen)
	return len(box.entries)+len(box.parked)-spare < limit
}

// remove takes an entry out, wherever it is, and returns it.
func (box *mailbox) remove(seq push.Seq) (e entry, ok bool) {
	if i, found := search(box.parked, seq); found {
		e, ok = box.parked[i], true
		box.parked = slices.Delete(box.parked, i, i+1)
	}
	if i, found := box.find(seq); found {
		e, ok = box.entries[i], true
		box.entries = slices.Delete(box.entries, i, i+1)
	}
	return e, ok
}

// ack applies one connection's acknowledgement.
func (box *mailbox) ack(a push.Ack) {
	applied := func(seq push.Seq) bool {
		return seq > a.After && seq <= a.UpTo && !slices.Contains(a.Skipped, seq)
	}
	for seq := range box.starts {
		if applied(seq) && box.has(seq) { // what was given up was not survived
			delete(box.starts, seq)
		}
	}
	box.parked = slices.DeleteFunc(box.parked, func(e entry) bool {
		if _, here := box.find(e.Seq); applied(e.Seq) && !here {
			box.trimmed = max(box.trimmed, e.Seq)
		}
		return applied(e.Seq)
	})
	for _, seq := range a.Skipped {
		i, found := box.find(seq)
		if !found || seq <= box.acked || seq > a.UpTo {
			continue
		}
		if at, parked := search(box.parked, seq); !parked {
			box.parked = slices.Insert(box.parked, at, box.entries[i])
		}
	}
	box.acked = max(box.acked, a.UpTo)
	if cursor, ok := box.routes[a.Node]; ok {
		box.routes[a.Node] = max(cursor, a.Route)
	}
}

// has reports whether the entry is there, parked or not.
func (box *mailbox) has(seq push.Seq) bool {
	_, parked := search(box.parked, seq)
	_, found := box.find(seq)
	return parked || found
}

// trim removes acknowledged entries up to and including seq.
func (box *mailbox) trim(seq push.Seq) {
	i, found := box.find(seq)
	if found {
		i++
	}
	for _, e := range box.entries[:i] {
		if _, parked := search(box.parked, e.Seq); !parked {
			box.trimmed = max(box.trimmed, e.Seq)
		}
	}
	box.entries = slices.Delete(box.entries, 0, i)
}

// expire moves what nobody has come for to the dead letters, and lets go of
// acknowledged history and of IDs that need not be remembered any longer.
func (box *mailbox) expire(t *Transport, now time.Time) {
	if now.Before(box.dueAt(t.cfg)) {
		return
	}
	limit := seqOf(now.Add(-t.cfg.MaxAge))
	for _, e := range append(slices.Clone(box.parked), box.after(box.acked)...) {
		if e.Seq < limit {
			box.remove(e.Seq)
			t.giveUp(e, push.Failure{Reason: push.ReasonExpired}, now)
		}
	}
	box.trim(min(box.acked, seqOf(now.Add(-t.cfg.ResumeWindow))))
	for id, mark := range box.ids {
		if !now.Before(mark.until) {
			delete(box.ids, id)
		}
	}
}

// dueAt is when the oldest entry expires, so that most calls need not look at
// all of them.
func (box *mailbox) dueAt(cfg Config) time.Time {
	oldest := box.last
	if len(box.entries) > 0 {
		oldest = min(oldest, box.entries[0].Seq)
	}
	if len(box.parked) > 0 {
		oldest = min(oldest, box.parked[0].Seq)
	}
	return oldest.Time().Add(min(cfg.MaxAge, cfg.DedupeTTL))
}

// plain returns the entries as others see them.
func plain(entries []entry) []push.Entry {
	if len(entries) == 0 {
		return nil
	}
	list := make([]push.Entry, len(entries))
	for i, e := range entries {
		list[i] = e.Entry
	}
	return list
}

// tell gives a hint to the nodes that have a route, and returns how many.
func (box *mailbox) tell(nodes map[string]*node, hint push.Notice, limit int) (woken int) {
	for id := range box.routes {
		if n := nodes[id]; n != nil {
			n.add(hint, limit)
			woken++
		} else {
			delete(box.routes, id)
		}
	}
	return woken
}
