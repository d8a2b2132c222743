package pushtest

import (
	"lastmile/push"
)

func closeCases() []testCase {
	return []testCase{
		{"Close/refuses pushes and connections", closeRefuses},
		{"Close/a session without a history", closeUnknown},
	}
}

func closeRefuses(e *env) {
	node, r, _ := e.listen()
	e.attach(node, 0)
	last := e.append("a", "b")[1]
	e.eventually("the node hears of both", func() bool { return len(r.of(e.session)) == 2 })
	e.must(e.Transport.CloseSession(e.ctx(), e.session))
	e.must(e.Transport.CloseSession(e.ctx(), e.session))

	_, err := e.Transport.Append(e.ctx(), e.message("c"))
	e.is(err, push.ErrSessionClosed)
	_, err = e.Transport.Attach(e.ctx(), node, e.session, last)
	e.is(err, push.ErrSessionClosed)
	e.same("mailbox", e.read(0), []string(nil))

	e.eventually("the node hears that something has happened", func() bool { return len(r.of(e.session)) == 3 })
	if h := r.of(e.session)[2]; h.Seq <= last || h.Prev != last || h.Entry != nil {
		e.t.Errorf("hint %+v, want one behind %s without an entry", h, last)
	}
	states, err := e.Transport.Check(e.ctx(), node, []string{e.session})
	e.must(err)
	if states[0].Last <= last {
		e.t.Errorf("a sweep sees %s, want something behind %s", states[0].Last, last)
	}
	e.must(e.Transport.Ack(e.ctx(), e.session, push.Ack{Node: node, UpTo: last}))
	e.must(e.Transport.DeadLetter(e.ctx(), e.session, last, push.Failure{Reason: push.ReasonError}))
	e.must(e.Transport.Detach(e.ctx(), node, e.session))
	e.same("dead letters", len(e.letters()), 0)

	e.session = "other-" + e.session
	e.append("c")
	e.wantPending(0, "c")
}

func closeUnknown(e *env) {
	e.must(e.Transport.CloseSession(e.ctx(), e.session))
	_, err := e.Transport.Append(e.ctx(), e.message("a"))
	e.is(err, push.ErrSessionClosed)
}
