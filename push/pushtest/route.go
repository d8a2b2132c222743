package pushtest

import (
	"encoding/json"
	"strings"

	"lastmile/push"
)

func routeCases() []testCase {
	return []testCase{
		{"Attach/tells the mailbox's state", attachState},
		{"Attach/lifts the next place above the cursor", attachLifts},
		{"Listen/hints for attached sessions", listenHints},
		{"Listen/every node with a route", listenNodes},
		{"Listen/large pushes", listenLarge},
		{"Listen/a node that has left", listenLeft},
		{"Detach/ends hints", detachEnds},
		{"Check/restores routes", checkRestores},
		{"Check/a restored route keeps history", checkKeepsHistory},
	}
}

func attachState(e *env) {
	a := e.attach("node-a", 0)
	if a.Acked != 0 || a.Last != 0 || a.Epoch == "" || len(a.Parked) > 0 {
		e.t.Errorf("attachment %+v to a new session, want nothing but an epoch", a)
	}
	seqs := e.append("a", "b", "c")
	e.ack(0, seqs[0])
	b := e.attach("node-a", seqs[0])
	e.same("attachment", b, push.Attachment{Acked: seqs[0], Last: seqs[2], Epoch: a.Epoch})
	e.same("a repeated attachment", e.attach("node-a", seqs[0]), b)
	backlog, err := e.Transport.Pending(e.ctx(), e.session, 0)
	e.must(err)
	e.same("epoch of a backlog", backlog.Epoch, a.Epoch)
}

// attachLifts is about a store that has lost its latest entries: a place that
// a connection has been through must not be issued again.
func attachLifts(e *env) {
	last := e.append("a")[0]
	const ahead = 60_000_000 // a minute
	a := e.attach("node-a", last+ahead)
	if a.Last != last+ahead {
		e.t.Errorf("last place %s, want the cursor %s", a.Last, last+ahead)
	}
	if next := e.append("b")[0]; next <= last+ahead {
		e.t.Errorf("place %s, want one above the cursor %s", next, last+ahead)
	}
}

func listenHints(e *env) {
	node, r, _ := e.listen()
	seqs := e.append("before")
	e.attach(node, 0)
	for _, id := range []string{"a", "b", "c"} {
		receipt := e.appendMessage(e.message(id))
		if receipt.Nodes != 1 {
			e.t.Errorf("push %s has woken %d nodes, want 1", id, receipt.Nodes)
		}
		seqs = append(seqs, receipt.Seq)
	}
	if receipt := e.appendMessage(e.message("a")); !receipt.Duplicate {
		e.t.Errorf("receipt %+v, want a duplicate", receipt)
	}
	other := *e
	other.session = "other-" + e.session
	if receipt := other.appendMessage(other.message("theirs")); receipt.Nodes != 0 {
		e.t.Errorf("another session's push has woken %d nodes", receipt.Nodes)
	}
	e.append("end")
	e.eventually("the last hint is there", func() bool { return len(r.of(e.session)) >= 4 })
	hints := r.of(e.session)
	if len(hints) != 4 || len(r.of(other.session)) != 0 {
		e.t.Fatalf("%d hints and %d of another session, want 4 and none", len(hints), len(r.of(other.session)))
	}
	for i, h := range hints[:3] {
		if h.Seq != seqs[i+1] || h.Prev != seqs[i] {
			e.t.Errorf("hint %d is for %s after %s, want %s after %s", i, h.Seq, h.Prev, seqs[i+1], seqs[i])
		}
		if h.Entry == nil {
			e.t.Errorf("hint %d has no entry", i)
		}
	}
	e.same("entry of a hint", *hints[0].Entry, e.readEntries(seqs[0])[0])
}

func listenNodes(e *env) {
	first, r1, _ := e.listen()
	second, r2, _ := e.listen()
	e.attach(first, 0)
	e.attach(second, 0)
	if r := e.appendMessage(e.message("a")); r.Nodes != 2 {
		e.t.Errorf("%d nodes woken, want 2", r.Nodes)
	}
	e.eventually("both nodes hear it", func() bool { return len(r1.of(e.session)) == 1 && len(r2.of(e.session)) == 1 })
}

func listenLarge(e *env) {
	node, r, _ := e.listen()
	e.attach(node, 0)
	m := e.message("large")
	m.Data = json.RawMessage(`{"text":"` + strings.Repeat("x", 20<<10) + `"}`)
	seq := e.appendMessage(m).Seq
	e.append("small")
	e.eventually("the node hears of both", func() bool { return len(r.of(e.session)) == 2 })
	h := r.of(e.session)[0]
	if h.Seq != seq || h.Prev != 0 {
		e.t.Errorf("hint for %s after %s, want %s after 0", h.Seq, h.Prev, seq)
	}
	if h.Entry != nil {
		e.same("entry of the hint", h.Entry.Message, m)
	}
	e.same("entry of the mailbox", e.readEntries(0)[0].Message, m)
}

func listenLeft(e *env) {
	node, r, stop := e.listen()
	e.attach(node, 0)
	e.append("a")
	e.eventually("the node hears of it", func() bool { return len(r.of(e.session)) == 1 })
	stop()
	if r := e.appendMessage(e.message("b")); r.Nodes != 0 {
		e.t.Errorf("%d nodes woken after the node has left, want none", r.Nodes)
	}
	e.same("mailbox", e.read(0), []string{"a", "b"})
}

func detachEnds(e *env) {
	node, r, _ := e.listen()
	e.attach(node, 0)
	e.must(e.Transport.Detach(e.ctx(), node, e.session))
	e.must(e.Transport.Detach(e.ctx(), node, e.session))
	e.must(e.Transport.Detach(e.ctx(), node, "nobody-"+e.session))
	if r := e.appendMessage(e.message("parked")); r.Nodes != 0 {
		e.t.Errorf("%d nodes woken after Detach, want none", r.Nodes)
	}
	e.attach(node, 0)
	e.append("heard")
	e.eventually("the node hears after it attached again", func() bool { return len(r.of(e.session)) > 0 })
	if h := r.of(e.session); len(h) != 1 || h[0].Entry == nil || h[0].Entry.ID != "heard" {
		e.t.Errorf("hints %+v, want one for the second push", h)
	}
}

func checkRestores(e *env) {
	node, r, _ := e.listen()
	epoch := e.attach(node, 0).Epoch
	last := e.append("a")[0]
	unknown := "unknown-" + e.session
	states, err := e.Transport.Check(e.ctx(), node, []string{unknown, e.session})
	e.must(err)
	e.same("states", states, []push.Status{{Session: unknown, Epoch: epoch, Rerouted: true}, {Session: e.session, Last: last, Epoch: epoch}})

	e.must(e.Transport.Detach(e.ctx(), node, e.session))
	last = e.append("unheard")[0]
	states, err = e.Transport.Check(e.ctx(), node, []string{e.session})
	e.must(err)
	e.same("states without a route", states, []push.Status{{Session: e.session, Last: last, Epoch: epoch, Rerouted: true}})
	e.append("heard")
	e.eventually("the node hears again", func() bool { return len(r.of(e.session)) == 2 })
	states, err = e.Transport.Check(e.ctx(), node, nil)
	e.must(err)
	e.same("states of no sessions", states, []push.Status(nil))
}

// checkKeepsHistory: nobody knows how far the connections behind a restored
// route have come, until the node says so again.
func checkKeepsHistory(e *env) {
	node, _, _ := e.listen()
	e.attach(node, 0)
	seqs := e.fillBox(e.MailboxLen)
	last, behind := seqs[len(seqs)-1], seqs[2]
	e.must(e.Transport.Ack(e.ctx(), e.session, push.Ack{Node: node, UpTo: last, Route: behind}))
	e.must(e.Transport.Detach(e.ctx(), node, e.session))
	_, err := e.Transport.Check(e.ctx(), node, []string{e.session})
	e.must(err)
	_, err = e.Transport.Append(e.ctx(), e.message("more"))
	e.is(err, push.ErrMailboxFull)
	e.must(e.Transport.Ack(e.ctx(), e.session, push.Ack{Node: node, After: last, UpTo: last, Route: behind}))
	e.append("more")
	e.attach(node, behind)
	if got := e.read(behind); len(got) != e.MailboxLen-2 {
		e.t.Errorf("%d entries for the slow connection, want %d", len(got), e.MailboxLen-2)
	}
}
