package pushtest

import (
	"time"

	"golang.org/x/sync/errgroup"

	"lastmile/push"
)

func ackCases() []testCase {
	return []testCase{
		{"Ack/raises the acked offset", ackOffset},
		{"Ack/two connections", ackTwo},
		{"Ack/skipped pushes are parked for other views", ackParks},
		{"Ack/applied by another connection first", ackAppliedFirst},
		{"Ack/applied by another connection later", ackAppliedLater},
		{"Trim/acknowledged history after the window", trimWindow},
		{"Trim/nothing that waits", trimNothingWaiting},
		{"Trim/parked pushes outlive the mailbox", trimParked},
		{"Pending/cursor", pendingCursor},
		{"Pending/after a view's cursor", pendingAfter},
		{"CountStart/counts starts", startsCounted},
		{"CountStart/counts up to a bound", startsBounded},
		{"CountStart/counts each start once", startsTogether},
		{"CountStart/remembers what is given up", startsOfDead},
	}
}

func ackOffset(e *env) {
	seqs := e.append("a", "b", "c")
	e.wantPending(0, "a", "b", "c")
	e.ack(0, seqs[1])
	e.wantPending(0, "c")
	e.ack(0, seqs[0])
	e.wantPending(0, "c")
	e.same("acked offset", e.attach("node", seqs[1]).Acked, seqs[1])
	e.same("mailbox: history stays for the resume window", e.read(0), []string{"a", "b", "c"})
	e.ack(seqs[1], seqs[2])
	e.wantPending(0)
	e.must(e.Transport.Ack(e.ctx(), "nobody-"+e.session, push.Ack{UpTo: seqs[2]}))
}

func ackTwo(e *env) {
	seqs := e.append("a", "b", "c")
	e.ack(0, seqs[2])
	e.ack(0, seqs[0])
	e.ack(seqs[0], seqs[1])
	e.wantPending(0)
	e.same("mailbox", e.read(seqs[1]), []string{"c"})
}

// ackParks: one view has no action for b; a page that has mounts later.
func ackParks(e *env) {
	seqs := e.append("a", "b", "c", "d")
	e.ack(0, seqs[2], seqs[1])
	e.wantPending(0, "b", "d")
	e.ack(seqs[2], seqs[3])
	e.wantPending(0, "b")
	e.ack(0, seqs[3]) // the mount has applied it
	e.wantPending(0)
}

func ackAppliedFirst(e *env) {
	seq := e.append("a")[0]
	e.ack(0, seq)
	e.ack(0, seq, seq)
	e.wantPending(0)
}

func ackAppliedLater(e *env) {
	seqs := e.append("a", "b")
	e.ack(0, seqs[1], seqs[0], seqs[1])
	e.wantPending(0, "a", "b")
	e.ack(0, seqs[1], seqs[1])
	e.wantPending(0, "b")
	e.ack(seqs[1], seqs[1], seqs[0]) // says nothing about either
	e.wantPending(0, "b")
}

func trimWindow(e *env) {
	seqs := e.append("a", "b", "c")
	e.ack(0, seqs[1])
	e.attach("node", 0)
	e.Advance(e.ResumeWindow + e.ResumeWindow/4 + time.Second)
	e.ack(seqs[1], seqs[2])
	after := e.append("d")[0]
	e.same("mailbox after the window", e.read(0), []string{"d"})
	for _, cursor := range []push.Seq{0, seqs[0], seqs[1]} {
		_, err := e.Transport.Attach(e.ctx(), "node", e.session, cursor)
		e.is(err, push.ErrCursorTooOld)
	}
	if a := e.attach("node", seqs[2]); a.Last != after || a.Acked != seqs[2] {
		e.t.Errorf("attachment %+v, want last %s and acked offset %s", a, after, seqs[2])
	}
	e.wantPending(0, "d")
}

func trimNothingWaiting(e *env) {
	seqs := e.append("a", "b", "c")
	e.ack(0, seqs[0])
	e.Advance(e.ResumeWindow + e.ResumeWindow/4 + time.Second)
	e.ack(0, seqs[0])
	e.wantPending(0, "b", "c")
	e.same("mailbox", e.read(seqs[0]), []string{"b", "c"})
	e.same("attachment", e.attach("node", seqs[0]).Last, seqs[2])
}

// trimParked: what nobody has applied does not leave, and a connection from
// before it can still go on.
func trimParked(e *env) {
	seqs := e.append("a", "b")
	e.ack(0, seqs[0])
	e.ack(seqs[0], seqs[1], seqs[1])
	e.outwait(seqs[1])
	e.wantPending(0, "b")
	for _, id := range e.read(0) {
		if id == "b" {
			e.t.Fatal("b is still in the mailbox: the store does not trim")
		}
	}
	a := e.attach("node", seqs[0])
	e.same("parked pushes after the cursor", ids(a.Parked), []string{"b"})
	e.same("parked pushes after a later cursor", ids(e.attach("node", seqs[1]).Parked), []string(nil))
	e.ack(seqs[0], seqs[1])
	e.wantPending(0)
	_, err := e.Transport.Attach(e.ctx(), "node", e.session, seqs[0])
	e.is(err, push.ErrCursorTooOld)
}

func pendingCursor(e *env) {
	want := func(what string, after, cursor push.Seq) {
		e.t.Helper()
		_, got := e.pending(after)
		e.same("cursor "+what, got, cursor)
	}
	want("of a new session", 0, 0)
	seqs := e.append("a", "b", "c")
	want("with everything pending", 0, seqs[2])
	want("after the view's cursor", seqs[2], seqs[2])
	e.ack(0, seqs[2], seqs[0])
	want("with an older push parked", 0, seqs[2])
	e.ack(0, seqs[2])
	want("with nothing pending", 0, seqs[2])
	want("of a view that is ahead", seqs[2]+7, seqs[2]+7)
	e.outwait(seqs[2])
	_, cursor := e.pending(0)
	e.attach("node", cursor) // the cursor that Pending gives is never too old
}

func pendingAfter(e *env) {
	seqs := e.append("a", "b", "c", "d", "e")
	e.ack(0, seqs[3], seqs[0], seqs[2])
	e.wantPending(0, "a", "c", "e")
	e.wantPending(seqs[0], "c", "e")
	e.wantPending(seqs[2], "e")
	e.wantPending(seqs[4])
	backlog, err := e.Transport.Pending(e.ctx(), e.session, 0)
	e.must(err)
	e.same("entry", backlog.Entries[0].Message, e.message("a"))
}

// start counts a start, of at most most, and requires as many before.
func (e *env) start(what string, seq push.Seq, most, before int) {
	e.t.Helper()
	got, err := e.Transport.CountStart(e.ctx(), e.session, seq, most)
	e.must(err)
	e.same(what, got, before)
}

func startsCounted(e *env) {
	seqs := e.append("a", "b")
	for before := range 4 {
		e.start("starts", seqs[0], 10, before)
	}
	e.start("starts of another entry", seqs[1], 10, 0)
	for range 2 { // it is idempotent
		e.must(e.Transport.ClearStarts(e.ctx(), e.session, seqs[0]))
	}
	e.start("starts after it was survived", seqs[0], 10, 0)
	e.start("starts of another entry", seqs[1], 10, 1)
	e.ack(0, seqs[0])
	e.start("starts after it was acknowledged", seqs[0], 10, 0)
	e.start("starts of another entry", seqs[1], 10, 2)
	e.must(e.Transport.DeadLetter(e.ctx(), e.session, seqs[1], push.Failure{Reason: push.ReasonError}))
	e.start("starts after it was given up", seqs[1], 10, 0)
}

// startsOfDead: a connection that has an entry in line learns that it is deadly
// after another one has given it up.
func startsOfDead(e *env) {
	seqs := e.append("a", "b", "c")
	for before := range 4 {
		e.start("starts", seqs[1], 4, before)
	}
	e.must(e.Transport.DeadLetter(e.ctx(), e.session, seqs[1], push.Failure{Reason: push.ReasonCrashLoop, Attempts: 4}))
	e.start("starts of a dead entry", seqs[1], 4, 4)
	e.ack(0, seqs[2])
	e.start("starts after an acknowledgement beyond it", seqs[1], 4, 4)
	e.start("starts of its neighbour", seqs[0], 4, 0)
}

func startsBounded(e *env) {
	seq := e.append("a")[0]
	e.start("a look", seq, 0, 0)
	e.start("the first", seq, 2, 0)
	e.start("the second", seq, 2, 1)
	for range 2 {
		e.start("one too many", seq, 2, 2)
	}
	e.start("under a higher bound", seq, 3, 2)
	e.start("under the lower one again", seq, 2, 3)
	e.start("a look", seq, 0, 3)
	e.must(e.Transport.ClearStarts(e.ctx(), e.session, seq))
	e.start("after it was survived", seq, 2, 0)
}

// startsTogether: of many that start it at once exactly as many count as may.
func startsTogether(e *env) {
	const starts, most = 12, 3
	seq := e.append("a")[0]
	before := make(chan int, starts)
	var all errgroup.Group
	for range starts {
		all.Go(func() error {
			n, err := e.Transport.CountStart(e.ctx(), e.session, seq, most)
			before <- n
			return err
		})
	}
	e.must(all.Wait())
	counted := map[int]int{}
	for range starts {
		counted[<-before]++
	}
	e.same("answers", counted, map[int]int{0: 1, 1: 1, 2: 1, most: starts - most})
}
