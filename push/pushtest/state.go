package pushtest

import (
	"bytes"
	"strconv"
	"sync"
	"time"

	"lastmile/push"
)

func stateCases() []testCase {
	return []testCase{
		{"State/a connection's record", stateConn},
		{"State/records expire", stateExpires},
		{"State/a take-over fences", stateFences},
		{"State/connection and view in one step", stateAtomic},
		{"State/a view without a connection", stateViewOnly},
		{"State/a view that is only compared", stateCompared},
		{"State/a commit tells the nodes", stateTells},
		{"State/concurrent commits of a view", stateConcurrent},
		{"State/concurrent take-overs", stateTakeConcurrent},
	}
}

func (e *env) conn() push.ConnRecord {
	return push.ConnRecord{
		Session: e.session, Conn: "conn-1", View: "reports", State: []byte("{\"x\":\"\x00\xff ü\"}"),
		Cursor: 1_700_000_000_000_001, Client: 7, Epoch: "epoch",
	}
}

func (e *env) create(r push.ConnRecord) {
	e.t.Helper()
	e.must(e.States.CreateConn(e.ctx(), r, e.StateTTL))
}

func (e *env) take() push.ConnRecord {
	e.t.Helper()
	r, err := e.States.TakeConn(e.ctx(), e.session, "conn-1", e.StateTTL)
	e.must(err)
	return r
}

func (e *env) view() push.ViewRecord {
	e.t.Helper()
	v, err := e.States.LoadView(e.ctx(), e.session, "reports")
	e.must(err)
	return v
}

func (e *env) commit(r push.ConnRecord, v *push.ViewRecord) (push.CommitResult, error) {
	e.t.Helper()
	return e.States.Commit(e.ctx(), push.Commit{Conn: r, ConnTTL: e.StateTTL, View: v, ViewTTL: e.StateTTL})
}

func stateConn(e *env) {
	_, err := e.States.TakeConn(e.ctx(), e.session, "conn-1", e.StateTTL)
	e.is(err, push.ErrNoState)
	r := e.conn()
	e.create(r)
	taken := e.take()
	r.Fence = taken.Fence
	e.same("record", taken, r)
	r.State, r.Cursor, r.Client = bytes.Repeat([]byte("x"), 300<<10), r.Cursor+5, 8
	_, err = e.commit(r, nil)
	e.must(err)
	taken = e.take()
	e.same("the fence has risen", taken.Fence > r.Fence, true)
	r.Fence = taken.Fence
	e.same("record after a commit", taken, r)
	e.same("the view's record", e.view(), push.ViewRecord{})
	_, err = e.States.TakeConn(e.ctx(), "other-"+e.session, "conn-1", e.StateTTL)
	e.is(err, push.ErrNoState)
	e.must(e.States.DropConn(e.ctx(), e.session, "conn-1"))
	e.must(e.States.DropConn(e.ctx(), e.session, "conn-1"))
	_, err = e.States.TakeConn(e.ctx(), e.session, "conn-1", e.StateTTL)
	e.is(err, push.ErrNoState)
	_, err = e.commit(r, nil)
	e.is(err, push.ErrNoState)
}

func stateExpires(e *env) {
	e.create(e.conn())
	e.Advance(e.StateTTL / 2)
	r := e.take() // renews
	_, err := e.commit(r, &push.ViewRecord{State: []byte(`{"a":1}`)})
	e.must(err)
	e.Advance(e.StateTTL * 3 / 4)
	r = e.take()
	e.same("there is a view", e.view().Version > 0, true)
	e.Advance(e.StateTTL + e.StateTTL/4 + time.Second)
	_, err = e.commit(r, nil)
	e.is(err, push.ErrNoState)
	e.same("the view's record", e.view(), push.ViewRecord{})
	_, err = e.States.TakeConn(e.ctx(), e.session, "conn-1", e.StateTTL)
	e.is(err, push.ErrNoState)
}

func stateFences(e *env) {
	e.create(e.conn())
	old, current := e.take(), e.take()
	if current.Fence <= old.Fence {
		e.t.Fatalf("fence %d after %d, want it raised", current.Fence, old.Fence)
	}
	old.State = []byte("old")
	_, err := e.commit(old, &push.ViewRecord{State: []byte(`{"old":1}`)})
	e.is(err, push.ErrFenced)
	e.same("view after a fenced commit", e.view(), push.ViewRecord{})
	current.State = []byte("current")
	_, err = e.commit(current, nil)
	e.must(err)
	e.same("state", string(e.take().State), "current")
}

func stateAtomic(e *env) {
	e.create(e.conn())
	r := e.take()
	v := push.ViewRecord{State: []byte(`{"percent":1}`), Cursor: 5}
	res, err := e.commit(r, &v)
	e.must(err)
	v.Version = e.raised(res, 0)
	e.same("result", res.View, v)
	e.same("view", e.view(), v)

	stale := push.ViewRecord{State: []byte(`{"percent":99}`), Cursor: 9}
	r2 := r
	r2.State, r2.Cursor = []byte("must not be stored"), r.Cursor+1
	res, err = e.commit(r2, &stale)
	e.is(err, push.ErrStateConflict)
	e.same("the record in the way", res.View, v)
	e.same("view after a conflict", e.view(), v)
	kept := e.take()
	e.same("state after a conflict", kept.State, r.State)
	e.same("cursor after a conflict", kept.Cursor, r.Cursor)

	stale.Version = v.Version
	kept.State = []byte("both")
	res, err = e.commit(kept, &stale)
	e.must(err)
	e.raised(res, v.Version)
	e.same("state", string(e.take().State), "both")
	e.same("view's state", string(e.view().State), `{"percent":99}`)

	stale.Version = v.Version + 1 // a step of one agrees with nobody's
	_, err = e.commit(e.take(), &stale)
	e.is(err, push.ErrStateConflict)
}

func stateViewOnly(e *env) {
	r := push.ConnRecord{Session: e.session, View: "reports"}
	v := push.ViewRecord{State: []byte(`{"a":1}`), Cursor: 3}
	res, err := e.commit(r, &v)
	e.must(err)
	v.Version = e.raised(res, 0)
	e.same("result", res.View, v)
	_, err = e.commit(r, &push.ViewRecord{State: []byte(`{"b":1}`)})
	e.is(err, push.ErrStateConflict)
	e.same("view", e.view(), v)
	other, err := e.States.LoadView(e.ctx(), e.session, "report")
	e.must(err)
	e.same("another view", other, push.ViewRecord{})
}

func stateCompared(e *env) {
	e.create(e.conn())
	r := e.take()
	_, err := e.commit(r, &push.ViewRecord{})
	e.must(err)
	e.same("the view's record", e.view(), push.ViewRecord{})
	_, err = e.commit(r, &push.ViewRecord{State: []byte(`{"a":1}`), Cursor: 3})
	e.must(err)
	v := e.view()
	r.State = []byte("compared")
	_, err = e.commit(r, &push.ViewRecord{Version: v.Version})
	e.must(err)
	e.same("view", e.view(), v)
	r.State = []byte("must not be stored")
	res, err := e.commit(r, &push.ViewRecord{})
	e.is(err, push.ErrStateConflict)
	e.same("the record in the way", res.View, v)
	e.same("state", string(e.take().State), "compared")
}

// stateTells: nodes with a route hear of each change of a view's record, also of
// one that no connection has made, and of nothing else.
func stateTells(e *env) {
	node, heard, _ := e.listen()
	e.attach(node, 0)
	e.create(e.conn())
	r := e.take()
	_, err := e.commit(r, nil)
	e.must(err)
	res, err := e.commit(r, &push.ViewRecord{State: []byte(`{"a":1}`)})
	e.must(err)
	_, err = e.commit(r, &push.ViewRecord{Version: res.View.Version})
	e.must(err)
	alone, err := e.commit(push.ConnRecord{Session: e.session, View: "reports"}, &push.ViewRecord{State: []byte(`{"a":2}`), Version: res.View.Version})
	e.must(err)
	want := []push.Notice{
		{Session: e.session, View: "reports", Version: res.View.Version},
		{Session: e.session, View: "reports", Version: alone.View.Version},
	}
	e.eventually("both hints are there", func() bool { return len(heard.of(e.session)) >= len(want) })
	e.same("hints", heard.of(e.session), want)
}

// raised is the version that a commit has given, and that the store has.
func (e *env) raised(res push.CommitResult, former uint64) uint64 {
	e.same("the version has risen", res.View.Version > former, true)
	e.same("the version that is stored", e.view().Version, res.View.Version)
	return res.View.Version
}

func stateConcurrent(e *env) {
	const tabs, each = 4, 5
	var wg sync.WaitGroup
	for range tabs {
		wg.Go(func() {
			for done := 0; done < each; {
				v, err := e.States.LoadView(e.ctx(), e.session, "reports")
				if err != nil {
					e.t.Error(err)
					return
				}
				n, _ := strconv.Atoi(string(v.State))
				v.State = []byte(strconv.Itoa(n + 1))
				if _, err := e.commit(push.ConnRecord{Session: e.session, View: "reports"}, &v); err == nil {
					done++
				}
			}
		})
	}
	wg.Wait()
	e.same("increments", string(e.view().State), strconv.Itoa(tabs*each))
	e.same("the version rose with each", e.view().Version >= tabs*each, true)
}

func stateTakeConcurrent(e *env) {
	e.create(e.conn())
	const nodes = 8
	var mu sync.Mutex
	fences := make(map[uint64]bool)
	var wg sync.WaitGroup
	for range nodes {
		wg.Go(func() {
			r, err := e.States.TakeConn(e.ctx(), e.session, "conn-1", e.StateTTL)
			if err != nil {
				e.t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			fences[r.Fence] = true
		})
	}
	wg.Wait()
	if len(fences) != nodes || fences[0] {
		e.t.Errorf("fences %v, want %d different ones above zero", fences, nodes)
	}
}
