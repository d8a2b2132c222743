package pushtest

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"lastmile/push"
)

func appendCases() []testCase {
	return []testCase{
		{"Append/stores what it was given", appendStores},
		{"Append/places follow each other", appendOrder},
		{"Append/same ID once", appendIdempotent},
		{"Append/same ID from many at once", appendConcurrentSame},
		{"Append/many at once", appendConcurrent},
		{"Append/an ID is forgotten in the end", appendForgets},
		{"Append/sessions are apart", appendIsolated},
		{"Read/pages", readPages},
	}
}

func appendStores(e *env) {
	want := push.Message{
		ID: "job:7:1:done", Session: e.session, Action: "ReportDone", Data: json.RawMessage(`{"text":"<ü> \"x\"","n":1.50}`),
		Replaces: "job:7", Final: true, Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
	r := e.appendMessage(want)
	if r.Duplicate || r.Nodes != 0 {
		e.t.Errorf("receipt %+v, want a parked push", r)
	}
	entries := e.readEntries(0)
	e.same("entries", entries, []push.Entry{{Message: want, Seq: r.Seq}})
	if age := time.Since(r.Seq.Time()); age.Abs() > time.Minute {
		e.t.Errorf("the place says %s, which is %s ago", r.Seq.Time(), age)
	}
	bare := push.Message{ID: "bare", Session: e.session, Action: "Refresh"}
	e.appendMessage(bare)
	e.same("a push without data", e.readEntries(r.Seq)[0].Message, bare)
}

func appendOrder(e *env) {
	seqs := e.append("a", "b", "c", "d")
	prev := push.Seq(0)
	for i, entry := range e.readEntries(0) {
		if entry.Seq != seqs[i] || entry.Prev != prev || entry.Seq <= prev {
			e.t.Errorf("entry %d has place %s after %s, want %s after %s", i, entry.Seq, entry.Prev, seqs[i], prev)
		}
		prev = entry.Seq
	}
	e.same("order", e.read(0), []string{"a", "b", "c", "d"})
}

func appendIdempotent(e *env) {
	first := e.appendMessage(e.message("x"))
	e.append("y")
	again := e.message("x")
	again.Data = json.RawMessage(`{"other":"data"}`)
	r := e.appendMessage(again)
	if !r.Duplicate || r.Seq != first.Seq {
		e.t.Errorf("receipt %+v, want a duplicate of %s", r, first.Seq)
	}
	e.same("mailbox", e.read(0), []string{"x", "y"})
	e.ack(0, e.append("z")[0])
	e.outwait(0)
	if r := e.appendMessage(e.message("x")); !r.Duplicate || r.Seq != first.Seq {
		e.t.Errorf("receipt %+v after it was trimmed, want a duplicate of %s", r, first.Seq)
	}
}

func appendConcurrentSame(e *env) {
	const publishers = 16
	receipts := make([]push.Receipt, publishers)
	var wg sync.WaitGroup
	for i := range publishers {
		wg.Go(func() {
			r, err := e.Transport.Append(e.ctx(), e.message("same"))
			if err != nil {
				e.t.Error(err)
			}
			receipts[i] = r
		})
	}
	wg.Wait()
	stored := 0
	for _, r := range receipts {
		if !r.Duplicate {
			stored++
		}
		if r.Seq != receipts[0].Seq {
			e.t.Errorf("places %s and %s for one push", r.Seq, receipts[0].Seq)
		}
	}
	if stored != 1 {
		e.t.Errorf("%d publishers were told that they stored it first, want 1", stored)
	}
	e.same("mailbox", e.read(0), []string{"same"})
}

func appendConcurrent(e *env) {
	publishers, each := 4, min(e.MailboxLen/4, 10)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				if _, err := e.Transport.Append(e.ctx(), e.message(strconv.Itoa(p)+"/"+strconv.Itoa(i))); err != nil {
					e.t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	entries := e.readEntries(0)
	if len(entries) != publishers*each {
		e.t.Fatalf("%d entries, want %d", len(entries), publishers*each)
	}
	next := make(map[string]int)
	for i, entry := range entries {
		if i > 0 && (entry.Prev != entries[i-1].Seq || entry.Seq <= entry.Prev) {
			e.t.Errorf("entry %d has place %s after %s, want it behind %s", i, entry.Seq, entry.Prev, entries[i-1].Seq)
		}
		who, number, _ := strings.Cut(entry.ID, "/")
		if number != strconv.Itoa(next[who]) {
			e.t.Errorf("publisher %s: push %s comes where %d is due", who, number, next[who])
		}
		next[who]++
	}
}

func appendForgets(e *env) {
	first := e.append("x")
	e.Advance(e.DedupeTTL + e.DedupeTTL/4 + time.Second)
	if r := e.appendMessage(e.message("x")); r.Duplicate || r.Seq == first[0] {
		e.t.Errorf("receipt %+v, want a new push", r)
	}
}

// appendIsolated uses IDs that would meet in a store which glues names
// together carelessly.
func appendIsolated(e *env) {
	base := e.session
	sessions := []string{
		base, base + ":a", base + ":a:b", base + "{x}", base + "}", base + "{", base + "*", base + "?", base + " a",
		base + "ü", base + "\"", base + "/..", strings.Repeat("x", push.MaxIDLen-len(base)) + base,
	}
	pushes := []string{"a:b:c", "b:c", "c", "{x}", "*", strings.Repeat("p", push.MaxIDLen)}
	for _, e.session = range sessions {
		for _, id := range pushes {
			if r := e.appendMessage(e.message(id)); r.Duplicate {
				e.t.Errorf("push %q of session %q is taken for another session's", id, e.session)
			}
		}
	}
	for _, e.session = range sessions {
		entries := e.readEntries(0)
		e.same("mailbox of "+e.session, ids(entries), pushes)
		for _, entry := range entries {
			e.same("session", entry.Session, e.session)
		}
	}
	e.session = sessions[0]
	e.ack(0, e.readEntries(0)[len(pushes)-1].Seq)
	e.wantPending(0)
	for _, e.session = range sessions[1:] {
		e.wantPending(0, pushes...)
	}
}

func readPages(e *env) {
	seqs := e.append("a", "b", "c")
	for _, tt := range []struct {
		after push.Seq
		limit int
		want  []string
	}{
		{0, 2, []string{"a", "b"}},
		{seqs[0], 2, []string{"b", "c"}},
		{seqs[0] - 1, 1, []string{"a"}},
		{seqs[1], 5, []string{"c"}},
		{seqs[2], 5, nil},
		{seqs[2] + 1000, 5, nil},
	} {
		entries, err := e.Transport.Read(e.ctx(), e.session, tt.after, tt.limit)
		e.must(err)
		e.same("page", ids(entries), tt.want)
	}
	entries, err := e.Transport.Read(e.ctx(), "nobody-"+e.session, 0, 5)
	e.must(err)
	e.same("an unknown session's mailbox", ids(entries), []string(nil))
}
