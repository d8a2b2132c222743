package pushtest

import (
	"strconv"

	"lastmile/push"
)

func boundCases() []testCase {
	return []testCase{
		{"Replaces/latest wins", replacesLatest},
		{"Replaces/acknowledged ones stay", replacesAcknowledged},
		{"Replaces/parked ones go", replacesParked},
		{"Replaces/fits into a full mailbox", replacesFull},
		{"Replaces/nothing after the end", replacesEnded},
		{"Replaces/an end without a beginning", replacesOnlyEnd},
		{"Replaces/an end of what is parked", replacesParkedEnd},
		{"Replaces/an end that is refused ends nothing", replacesRefusedEnd},
		{"Replaces/the latest ends are remembered", replacesManyEnds},
		{"Replaces/ends displace nothing that waits", replacesEndsAndWaiting},
		{"Replaces/ends outlive values that have gone", replacesManyValues},
		{"Full/refused until acknowledged", fullRefused},
		{"Full/room is kept for ends", fullEnds},
		{"Full/parked pushes count", fullParked},
		{"Full/history that a node may need stays", fullRoute},
		{"Full/the latest history stays", fullLatest},
		{"Full/the latest history stays when much is parked", fullLatestParked},
		{"Full/history that a slow connection needs stays", fullSlow},
	}
}

func replacesLatest(e *env) {
	e.replacing("p1", "job:1", false)
	e.append("other")
	e.replacing("q1", "job:2", false)
	e.replacing("p2", "job:1", false)
	e.same("mailbox", e.read(0), []string{"other", "q1", "p2"})
	e.replacing("p3", "job:1", false)
	e.replacing("end", "job:1", true)
	e.same("mailbox after the end", e.read(0), []string{"other", "q1", "end"})
	if r := e.appendMessage(e.message("p1")); !r.Duplicate {
		e.t.Errorf("receipt %+v for a superseded push's ID, want a duplicate", r)
	}
	e.wantPending(0, "other", "q1", "end")
}

func replacesAcknowledged(e *env) {
	seq := e.replacing("p1", "job", false)
	e.ack(0, seq)
	e.replacing("p2", "job", false)
	e.same("mailbox: another tab may still want p1", e.read(0), []string{"p1", "p2"})
	e.wantPending(0, "p2")
}

func replacesParked(e *env) {
	seq := e.replacing("p1", "job", false)
	e.ack(0, seq, seq)
	e.wantPending(0, "p1")
	e.replacing("p2", "job", false)
	e.wantPending(0, "p2")
}

func replacesFull(e *env) {
	e.replacing("p1", "job", false)
	e.fillBox(e.MailboxLen - 1)
	_, err := e.Transport.Append(e.ctx(), e.message("more"))
	e.is(err, push.ErrMailboxFull)
	e.replacing("p2", "job", false)
	if got := e.read(0); len(got) != e.MailboxLen || got[len(got)-1] != "p2" {
		e.t.Errorf("mailbox of %d entries, the last one %s, want %d and p2", len(got), got[len(got)-1], e.MailboxLen)
	}
}

func fullRefused(e *env) {
	seqs := e.fillBox(e.MailboxLen)
	_, err := e.Transport.Append(e.ctx(), e.message("more"))
	e.is(err, push.ErrMailboxFull)
	if r := e.appendMessage(e.message("fill-0")); !r.Duplicate {
		e.t.Errorf("receipt %+v, want a duplicate in spite of the full mailbox", r)
	}
	if got := e.read(0); len(got) != e.MailboxLen {
		e.t.Fatalf("%d entries, want %d: nothing that waits is dropped", len(got), e.MailboxLen)
	}
	e.ack(0, seqs[2])
	e.append("more", "and more", "and more still")
	_, err = e.Transport.Append(e.ctx(), e.message("too much"))
	e.is(err, push.ErrMailboxFull)
	got, _ := e.pending(0)
	if len(got) != e.MailboxLen || got[0] != "fill-3" {
		e.t.Errorf("%d pending, the first one %s, want %d from fill-3 on", len(got), got[0], e.MailboxLen)
	}
}

func fullParked(e *env) {
	seqs := e.fillBox(e.MailboxLen)
	e.ack(0, seqs[len(seqs)-1], seqs...)
	_, err := e.Transport.Append(e.ctx(), e.message("more"))
	e.is(err, push.ErrMailboxFull)
	if got, _ := e.pending(0); len(got) != e.MailboxLen {
		e.t.Fatalf("%d pending, want all %d", len(got), e.MailboxLen)
	}
	e.ack(0, seqs[0])
	e.append("more")
	got, _ := e.pending(0)
	if len(got) != e.MailboxLen || got[0] != "fill-1" {
		e.t.Errorf("%d pending, the first one %s, want %d from fill-1 on", len(got), got[0], e.MailboxLen)
	}
}

func fullRoute(e *env) {
	node, _, _ := e.listen()
	e.attach(node, 0)
	seqs := e.fillBox(e.MailboxLen)
	last := seqs[len(seqs)-1]
	e.ack(0, last) // by a connection elsewhere
	_, err := e.Transport.Append(e.ctx(), e.message("more"))
	e.is(err, push.ErrMailboxFull)
	if got := e.read(0); len(got) != e.MailboxLen {
		e.t.Fatalf("%d entries, want %d: the node has not gone through them", len(got), e.MailboxLen)
	}
	e.must(e.Transport.Ack(e.ctx(), e.session, push.Ack{Node: node, UpTo: last, Route: last}))
	for i := range 3 {
		e.append("more-" + strconv.Itoa(i))
	}
	e.wantPending(0, "more-0", "more-1", "more-2")
}

// fullLatest is about a reader between two connections, while others have confirmed
// what it has yet to read and the mailbox is full.
func fullLatest(e *env) {
	node, _, _ := e.listen()
	e.attach(node, 0)
	seqs := e.fillBox(e.MailboxLen)
	last := seqs[len(seqs)-1]
	e.must(e.Transport.Ack(e.ctx(), e.session, push.Ack{Node: node, UpTo: last, Route: last}))
	e.append("more")
	e.attach(node, seqs[len(seqs)-3])
	if got := e.read(seqs[len(seqs)-3]); len(got) != 3 || got[2] != "more" {
		e.t.Errorf("the reader that was away finds %v, want the last two and more", got)
	}
}

// fullLatestParked is the same when an acknowledgement has parked nearly all at once,
// which then counts twice.
func fullLatestParked(e *env) {
	node, _, _ := e.listen()
	e.attach(node, 0)
	seqs := e.fillBox(e.MailboxLen)
	last, away := seqs[len(seqs)-1], len(seqs)-3
	e.must(e.Transport.Ack(e.ctx(), e.session, push.Ack{Node: node, UpTo: last, Skipped: seqs[:away], Route: last}))
	e.append("more")
	e.attach(node, seqs[away])
	if got := e.read(seqs[away]); len(got) != 3 || got[2] != "more" {
		e.t.Errorf("the reader that was away finds %v, want the last two and more", got)
	}
}

// fullSlow is about two connections on one node, one of them behind.
func fullSlow(e *env) {
	node, _, _ := e.listen()
	e.attach(node, 0)
	seqs := e.fillBox(e.MailboxLen)
	last, behind := seqs[len(seqs)-1], seqs[2]
	e.must(e.Transport.Ack(e.ctx(), e.session, push.Ack{Node: node, UpTo: last, Route: behind}))
	e.append("more-0", "more-1", "more-2")
	_, err := e.Transport.Append(e.ctx(), e.message("too much"))
	e.is(err, push.ErrMailboxFull)
	if a := e.attach(node, behind); a.Acked != last {
		e.t.Errorf("acked offset %s, want %s", a.Acked, last)
	}
	if got := e.read(behind); len(got) != e.MailboxLen {
		e.t.Errorf("%d entries for the slow connection, want %d", len(got), e.MailboxLen)
	}
	e.must(e.Transport.Ack(e.ctx(), e.session, push.Ack{Node: node, After: last, UpTo: last, Route: last}))
	e.must(e.Transport.Ack(e.ctx(), e.session, push.Ack{Node: node, After: last, UpTo: last, Route: behind})) // it never falls
	e.append("room again")
	e.wantPending(0, "more-0", "more-1", "more-2", "room again")
}
