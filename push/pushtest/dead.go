package pushtest

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"lastmile/push"
)

func deadCases() []testCase {
	return []testCase{
		{"DeadLetter/moves an entry to the dead letters", deadLetterMoves},
		{"DeadLetter/parked entries", deadLetterParked},
		{"Dead/list, count and purge", deadList},
		{"Dead/replay", deadReplay},
		{"Dead/replay by many at once", deadReplayConcurrent},
		{"Dead/replay into a full mailbox", deadReplayFull},
		{"Dead/unknown", deadUnknown},
		{"Expiry/what nobody came for", expiry},
		{"Decode/what cannot be read", decodeErrors},
	}
}

func (e *env) deadLetter(seq push.Seq, reason push.Reason) {
	e.t.Helper()
	e.must(e.Transport.DeadLetter(e.ctx(), e.session, seq, push.Failure{Reason: reason, Attempts: 8, Node: "node-a", Error: "rows: \"ü\""}))
}

func deadLetterMoves(e *env) {
	seqs := e.append("a", "b", "c")
	e.deadLetter(seqs[1], push.ReasonPanic)
	e.deadLetter(seqs[1], push.ReasonError) // by another connection, later
	e.same("mailbox", e.read(0), []string{"a", "c"})
	e.wantPending(0, "a", "c")
	list := e.letters()
	if len(list) != 1 {
		e.t.Fatalf("%d dead letters, want 1", len(list))
	}
	letter := list[0]
	e.same("entry", letter.Entry.Message, e.message("b"))
	e.same("place", letter.Entry.Seq, seqs[1])
	e.same("failure", letter.Failure, push.Failure{Reason: push.ReasonPanic, Attempts: 8, Node: "node-a", Error: "rows: \"ü\""})
	if age := time.Since(letter.At); letter.ID == "" || age.Abs() > time.Minute {
		e.t.Errorf("ID %q, given up %s ago", letter.ID, age)
	}
	got, err := e.Dead.Get(e.ctx(), letter.ID)
	e.must(err)
	e.same("dead letter", got, letter)
	if r := e.appendMessage(e.message("b")); !r.Duplicate {
		e.t.Errorf("receipt %+v for a dead push's ID, want a duplicate", r)
	}
	e.must(e.Transport.DeadLetter(e.ctx(), "nobody-"+e.session, seqs[0], push.Failure{Reason: push.ReasonError}))
	e.deadLetter(seqs[2]+1000, push.ReasonError)
	e.same("dead letters", len(e.letters()), 1)
}

func deadLetterParked(e *env) {
	seqs := e.append("a", "b")
	e.ack(0, seqs[1], seqs...)
	e.deadLetter(seqs[0], push.ReasonRejected)
	e.wantPending(0, "b")
	e.outwait(seqs[1])
	e.deadLetter(seqs[1], push.ReasonRejected)
	e.wantPending(0)
	list := e.letters()
	if len(list) != 2 || list[0].Entry.ID != "a" || list[1].Entry.ID != "b" {
		e.t.Errorf("dead letters %+v, want a and b", list)
	}
}

func deadList(e *env) {
	seqs := e.append("a", "b", "c", "d")
	for i, seq := range seqs {
		e.deadLetter(seq, []push.Reason{push.ReasonError, push.ReasonPanic}[i%2])
	}
	list := func(q push.DeadQuery) (got []string, last string) {
		e.t.Helper()
		q.Session = e.session
		letters, err := e.Dead.List(e.ctx(), q)
		e.must(err)
		for _, l := range letters {
			got, last = append(got, l.Entry.ID), l.ID
		}
		return got, last
	}
	got, _ := list(push.DeadQuery{})
	e.same("all, oldest first", got, []string{"a", "b", "c", "d"})
	got, _ = list(push.DeadQuery{Reason: push.ReasonPanic})
	e.same("of one reason", got, []string{"b", "d"})
	page, last := list(push.DeadQuery{Limit: 3})
	e.same("first page", page, []string{"a", "b", "c"})
	page, _ = list(push.DeadQuery{Limit: 3, After: last})
	e.same("second page", page, []string{"d"})
	count, err := e.Dead.Count(e.ctx())
	e.must(err)
	if count < 4 {
		e.t.Errorf("count %d, want at least 4", count)
	}
	n, err := e.Dead.Purge(e.ctx(), push.DeadQuery{Session: e.session, Reason: push.ReasonPanic, Limit: 1})
	e.must(err)
	e.same("purged", n, 2)
	got, _ = list(push.DeadQuery{})
	e.same("left", got, []string{"a", "c"})
	n, err = e.Dead.Purge(e.ctx(), push.DeadQuery{Session: e.session})
	e.must(err)
	e.same("purged", n, 2)
}

func deadReplay(e *env) {
	seqs := e.append("a", "b")
	e.ack(0, seqs[1])
	e.deadLetter(seqs[0], push.ReasonError)
	letter := e.letters()[0]
	node, r, _ := e.listen()
	e.attach(node, seqs[1])
	receipt, err := e.Dead.Replay(e.ctx(), letter.ID)
	e.must(err)
	if receipt.Seq <= seqs[1] || receipt.Duplicate || receipt.ID == "a" || receipt.ID == "" {
		e.t.Errorf("receipt %+v, want a new push", receipt)
	}
	e.eventually("the node hears of it", func() bool { return len(r.of(e.session)) == 1 })
	e.same("dead letters", len(e.letters()), 0)
	e.wantPending(0, receipt.ID)
	entry := e.readEntries(seqs[1])[0]
	e.same("action", entry.Action, letter.Entry.Action)
	e.same("data", string(entry.Data), string(letter.Entry.Data))
	if r, err := e.Dead.Replay(e.ctx(), letter.ID); !errors.Is(err, push.ErrNotFound) && (err != nil || !r.Duplicate) {
		e.t.Errorf("repeated replay: %+v, %v, want ErrNotFound or a duplicate", r, err)
	}
	e.wantPending(0, receipt.ID)
}

func deadReplayConcurrent(e *env) {
	e.deadLetter(e.append("a")[0], push.ReasonError)
	id := e.letters()[0].ID
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := e.Dead.Replay(e.ctx(), id); err != nil && !errors.Is(err, push.ErrNotFound) {
				e.t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, _ := e.pending(0); len(got) != 1 {
		e.t.Errorf("%d pending pushes, want 1", len(got))
	}
}

func deadReplayFull(e *env) {
	e.deadLetter(e.append("a")[0], push.ReasonError)
	e.fillBox(e.MailboxLen)
	_, err := e.Dead.Replay(e.ctx(), e.letters()[0].ID)
	e.is(err, push.ErrMailboxFull)
	e.same("dead letters", len(e.letters()), 1)
}

func deadUnknown(e *env) {
	e.deadLetter(e.append("a")[0], push.ReasonError)
	id := e.letters()[0].ID
	_, err := e.Dead.Purge(e.ctx(), push.DeadQuery{Session: e.session})
	e.must(err)
	for _, id := range []string{id, "nonsense", "", "0-0", strconv.Itoa(1 << 40)} {
		_, err := e.Dead.Get(e.ctx(), id)
		e.is(err, push.ErrNotFound)
		_, err = e.Dead.Replay(e.ctx(), id)
		e.is(err, push.ErrNotFound)
	}
}

func expiry(e *env) {
	seqs := e.append("applied", "parked", "waiting")
	e.ack(0, seqs[1], seqs[1])
	e.Advance(e.MaxAge + e.MaxAge/4 + time.Second)
	e.append("new")
	e.wantPending(0, "new")
	got := make(map[string]push.Reason)
	for _, l := range e.letters() {
		got[l.Entry.ID] = l.Reason
		if l.Reason == push.ReasonUnknownAction {
			got[l.Entry.ID] = push.ReasonExpired // the store may know more
		}
	}
	e.same("dead letters", got, map[string]push.Reason{"parked": push.ReasonExpired, "waiting": push.ReasonExpired})
}

// decodeErrors: a worker may be upgraded before the web nodes, and anybody may
// write to a store.
func decodeErrors(e *env) {
	node, r, _ := e.listen()
	e.attach(node, 0)
	tests := []struct {
		id, stored string
		want       error
	}{
		{"garbage", "\x00\xffgarbage", push.ErrDecode},
		{"empty", "", push.ErrDecode},
		{"newer", `{"v":99,"a":{"x":1}}`, push.ErrVersion},
	}
	for _, tt := range tests {
		_, err := e.AppendStored(e.session, tt.id, []byte(tt.stored))
		e.must(err)
	}
	e.append("good")
	backlog, err := e.Transport.Pending(e.ctx(), e.session, 0)
	e.must(err)
	for _, entries := range [][]push.Entry{e.readEntries(0), backlog.Entries} {
		e.same("entries", ids(entries), []string{"garbage", "empty", "newer", "good"})
		for i, tt := range tests {
			e.is(entries[i].Err, tt.want)
			if entries[i].Session != e.session || entries[i].Seq == 0 {
				e.t.Errorf("entry %+v has no session or place", entries[i])
			}
		}
		e.must(entries[3].Err)
	}
	e.eventually("the node hears of all", func() bool { return len(r.of(e.session)) == 4 })
	for i, h := range r.of(e.session)[:3] {
		if h.Entry != nil {
			e.is(h.Entry.Err, tests[i].want)
		}
	}
	for _, entry := range e.readEntries(0)[:3] {
		e.deadLetter(entry.Seq, push.ReasonDecode)
	}
	e.wantPending(0, "good")
	list := e.letters()
	if len(list) != 3 {
		e.t.Fatalf("%d dead letters, want 3", len(list))
	}
	for i, l := range list {
		e.same("ID", l.Entry.ID, tests[i].id)
		e.is(l.Entry.Err, tests[i].want)
	}
	receipt, err := e.Dead.Replay(e.ctx(), list[2].ID)
	e.must(err)
	e.is(e.readEntries(receipt.Seq - 1)[0].Err, push.ErrVersion)
}
