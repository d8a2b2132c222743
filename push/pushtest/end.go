package pushtest

import (
	"strconv"

	"lastmile/push"
)

// after publishes under a key, and requires that the key's final push, which is
// at end, stands in the way.
func (e *env) after(end push.Seq, id, key string) {
	e.t.Helper()
	m := e.message(id)
	m.Replaces = key
	want := push.Receipt{ID: id, Seq: end, Superseded: true}
	e.same("receipt of "+id+" after the end of "+key, e.appendMessage(m), want)
}

// replacesEnded is about a publisher that was held up while its work ended.
func replacesEnded(e *env) {
	node, r, _ := e.listen()
	e.attach(node, 0)
	e.replacing("p1", "job:1", false)
	end := e.replacing("end", "job:1", true)
	e.after(end, "p2", "job:1")
	e.after(end, "p2", "job:1")
	e.same("mailbox", e.read(0), []string{"end"})
	for _, id := range []string{"p1", "end"} {
		m := e.message(id)
		m.Replaces, m.Final = "job:1", id == "end"
		if r := e.appendMessage(m); !r.Duplicate || r.Superseded {
			e.t.Errorf("receipt %+v for a repetition of %s, want a duplicate", r, id)
		}
	}
	e.replacing("q1", "job:1:2", false) // another key
	e.eventually("the node hears of what is stored", func() bool { return len(r.of(e.session)) >= 3 })
	e.same("hints", len(r.of(e.session)), 3)

	other := *e
	other.session = "other-" + e.session
	other.replacing("p2", "job:1", false)
	other.wantPending(0, "p2")

	e.ack(0, e.append("more")[0])
	e.after(end, "p3", "job:1")
	e.outwait(end)
	e.after(end, "p4", "job:1")
	e.wantPending(0)

	again := e.replacing("end again", "job:1", true) // an end is stored, whatever there was
	e.wantPending(0, "end again")
	e.after(again, "p5", "job:1")
}

func replacesOnlyEnd(e *env) {
	end := e.replacing("end", "job", true)
	e.after(end, "p1", "job")
	e.fillBox(e.MailboxLen - 1)
	e.after(end, "p2", "job") // and not ErrMailboxFull: there is nothing to wait for
	if got, _ := e.pending(0); len(got) != e.MailboxLen || got[0] != "end" {
		e.t.Errorf("%d pending, the first one %s, want %d and the end", len(got), got[0], e.MailboxLen)
	}
}

func replacesParkedEnd(e *env) {
	seq := e.replacing("p1", "job", false)
	e.ack(0, seq, seq)
	e.fillBox(e.MailboxLen - 2) // p1 is parked, and history
	end := e.replacing("end", "job", true)
	got, _ := e.pending(0)
	if len(got) != e.MailboxLen-1 || got[len(got)-1] != "end" {
		e.t.Errorf("%d pending, the last one %s, want %d and the end", len(got), got[len(got)-1], e.MailboxLen-1)
	}
	e.after(end, "p2", "job")
	e.ack(0, end, end)
	e.after(end, "p3", "job")
}

// fullEnds: the end of a job needs no room that other pushes have taken.
func fullEnds(e *env) {
	e.fillBox(e.MailboxLen)
	ends := e.reserve()
	e.waitingEnds("end-", ends)
	for _, m := range []push.Message{e.message("more"), {Session: e.session, ID: "value", Action: "Do", Replaces: "other"}} {
		_, err := e.Transport.Append(e.ctx(), m)
		e.is(err, push.ErrMailboxFull)
	}
	got, cursor := e.pending(0)
	if len(got) != e.MailboxLen+ends || got[len(got)-1] != "end-"+strconv.Itoa(ends-1) {
		e.t.Errorf("%d pending, the last one %s, want %d and the last end", len(got), got[len(got)-1], e.MailboxLen+ends)
	}
	e.ack(0, cursor)
	e.append("room again")
	e.wantPending(0, "room again")
}

// reserve is how many ends fit into a mailbox that is full.
func (e *env) reserve() int { return (e.MailboxLen + 3) / 4 }

func replacesRefusedEnd(e *env) {
	e.fillBox(e.MailboxLen)
	e.waitingEnds("before", e.reserve())
	m := e.message("end")
	m.Replaces, m.Final = "job", true
	_, err := e.Transport.Append(e.ctx(), m)
	e.is(err, push.ErrMailboxFull)
	backlog, err := e.Transport.Pending(e.ctx(), e.session, 0)
	e.must(err)
	e.ack(0, backlog.Cursor)
	e.replacing("p1", "job", false)
	e.wantPending(0, "p1")
	end := e.replacing("end", "job", true)
	e.wantPending(0, "end")
	e.after(end, "p2", "job")
}

// waitingEnds stores final pushes of n keys.
func (e *env) waitingEnds(prefix string, n int) {
	e.t.Helper()
	for i := range n {
		e.replacing(prefix+strconv.Itoa(i), "key-"+prefix+strconv.Itoa(i), true)
	}
}

// ends stores final pushes of n keys and acknowledges them.
func (e *env) ends(prefix string, n int) []push.Seq {
	e.t.Helper()
	seqs := make([]push.Seq, n)
	for i := range seqs {
		seqs[i] = e.replacing(prefix+strconv.Itoa(i), "key-"+prefix+strconv.Itoa(i), true)
		e.ack(seqs[i]-1, seqs[i])
	}
	return seqs
}

func replacesManyEnds(e *env) {
	seqs := e.ends("e", 5*e.MailboxLen)
	latest := len(seqs) - e.MailboxLen/2
	for i := latest; i < len(seqs); i++ {
		e.after(seqs[i], "late-"+strconv.Itoa(i), "key-e"+strconv.Itoa(i))
	}
	e.replacing("late", "key-e0", false) // forgotten: that is the bound
	e.wantPending(0, "late")
}

// replacesEndsAndWaiting: a value that waits keeps its key, whatever else ends.
func replacesEndsAndWaiting(e *env) {
	parked := e.MailboxLen / 2
	for i := range parked {
		seq := e.replacing("parked-"+strconv.Itoa(i), "parked-"+strconv.Itoa(i), false)
		e.ack(seq-1, seq, seq)
	}
	seqs := e.ends("e", 5*e.MailboxLen)
	want := make([]string, parked)
	for i := range want {
		want[i] = "next-" + strconv.Itoa(i)
		e.replacing(want[i], "parked-"+strconv.Itoa(i), false)
	}
	e.wantPending(0, want...)
	for i := len(seqs) - e.MailboxLen/2; i < len(seqs); i++ {
		e.after(seqs[i], "late-"+strconv.Itoa(i), "key-e"+strconv.Itoa(i))
	}
}

// replacesManyValues: keys whose last value was applied or given up are of no use,
// and go before any end does.
func replacesManyValues(e *env) {
	end := e.replacing("end", "job", true)
	e.ack(0, end)
	for i := range 3 * e.MailboxLen {
		seq := e.replacing("a"+strconv.Itoa(i), "applied-"+strconv.Itoa(i), false)
		e.ack(seq-1, seq)
	}
	for i := range 3 * e.MailboxLen {
		e.deadLetter(e.replacing("b"+strconv.Itoa(i), "dead-"+strconv.Itoa(i), false), push.ReasonError)
	}
	e.after(end, "late", "job")
}
