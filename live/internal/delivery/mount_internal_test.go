package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"lastmile/push"
)

func never(Effects) bool { return false }

func (m *Mount) apply(t *testing.T, leaves func(Effects) bool) *SentOff {
	t.Helper()
	off, err := m.Apply(t.Context(), time.Now().Add(2*time.Second), leaves)
	if err != nil {
		t.Fatal(err)
	}
	return off
}

func TestMountAppliesWhatWaits(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		f.replicas = true
		m := f.mount(entry(1, "say"), entry(2, "Nobody"), entry(3, "share"))
		m.apply(t, never)
		if s, _ := m.State.(fakeState); s != (fakeState{Own: "sayshare", A: "share"}) || m.Pending != nil || len(m.Effects) != 1 || len(m.IDs) != 2 {
			t.Errorf("state %+v, %d effects", m.State, len(m.Effects))
		}
		if r := m.Receipt(); r == nil || r.UpTo != seqOf(3) || !slices.Equal(r.Skipped, []push.Seq{seqOf(2)}) {
			t.Errorf("receipt %+v", r)
		}
		if err := m.Save(t.Context()); err != nil || f.view.Cursor != seqOf(3) || f.view.Version != 1 {
			t.Errorf("%v, view %+v", err, f.view)
		}
		if err := m.Save(t.Context()); err != nil || f.commits != 1 {
			t.Errorf("%v, stored %d times", err, f.commits)
		}
		if len(f.starts) != 0 {
			t.Errorf("starts %v: loading a page is no crash", f.starts)
		}
		again := f.mount(entry(1, "say"), entry(2, "share"), entry(3, "share"))
		again.apply(t, never)
		if s, _ := again.State.(fakeState); s.Own != "saysshareshare" && s.A != "shareshare" {
			t.Errorf("state %+v: push 2 was skipped, push 3 is held", s)
		}
		if f.mount().Receipt() != nil {
			t.Error("owes for nothing")
		}
	})
}

func TestMountLeavesWhatFails(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		f.notFlat = true
		f.fails["b"], f.fails["c"] = quickTries-1, quickTries
		m := f.mount(entry(1, "Nobody"), entry(2, "b"), entry(3, "c"), entry(4, "d"))
		m.apply(t, never)
		if s, _ := m.State.(fakeState); s.Own != "b" || len(m.Pending) != 2 || m.Cursor != seqOf(3)-1 || len(f.letters) != 0 {
			t.Errorf("state %+v, %d pending", m.State, len(m.Pending))
		}
		if r := m.Receipt(); r == nil || len(r.Skipped) != 1 {
			t.Errorf("receipt %+v", r)
		}
		f.fails["c"], f.failure = 1, push.ErrReject
		m = f.mount(entry(3, "c"), entry(4, "d"))
		m.apply(t, never)
		if s, _ := m.State.(fakeState); s.Own != "d" || len(f.letters) != 1 || m.Pending != nil || len(m.Rejected) != 0 {
			t.Errorf("state %+v, letters %v", m.State, f.letters)
		}
		f.fails["say"] = 1
		m = f.mount(entry(5, "say"))
		if m.apply(t, never); len(m.Rejected) != 1 {
			t.Error("what a rejected push has to say is lost")
		}
		m = f.mount(push.Entry{Seq: seqOf(6), Err: push.ErrDecode}, entry(7, "d"))
		if m.apply(t, never); len(m.Pending) != 2 || m.Receipt() != nil {
			t.Errorf("%d pending behind one that cannot be read", len(m.Pending))
		}
		f.fails["e"], f.decode = 1, errors.New("bad")
		if _, err := f.mount(entry(8, "e")).Apply(t.Context(), time.Now(), never); err == nil {
			t.Error("goes on with a state that is lost")
		}
	})
}

func TestMountIsSentOff(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		m := f.mount(entry(1, "a"), entry(2, "Nobody"), entry(3, "say"), entry(4, "d"))
		off := m.apply(t, func(fx Effects) bool { return fx == fakeEffects("say") })
		if off == nil || off.Ack.UpTo != seqOf(3) || !slices.Equal(off.Ack.Skipped, []push.Seq{seqOf(1), seqOf(2)}) || off.Effects != fakeEffects("say") || slices.Contains(f.ran, "d") {
			t.Errorf("sent off %+v, ran %v", off, f.ran)
		}
	})
}

func TestMountAndStarts(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		f.starts[seqOf(1)] = 2
		busy := f.Gate.ask(false, false)
		m := f.mount(entry(1, "a"), entry(2, "b"))
		if m.apply(t, never); len(m.Pending) != 2 {
			t.Error("starts beside others")
		}
		go func() {
			time.Sleep(time.Second)
			f.Gate.end(busy)
		}()
		m = f.mount(entry(1, "a"), entry(2, "b"))
		if m.apply(t, never); len(m.Pending) != 0 || !slices.Contains(f.cleared, seqOf(1)) {
			t.Errorf("%d pending, cleared %v", len(m.Pending), f.cleared)
		}
		f.starts[seqOf(3)] = maxStarts
		m = f.mount(entry(3, "c"))
		if m.apply(t, never); len(m.Pending) != 1 {
			t.Error("starts a suspect")
		}
		f.clearErr = errors.New("away")
		m = f.mount(entry(4, "d"), entry(5, "e"))
		if m.apply(t, never); len(m.Pending) != 0 {
			t.Error("waits for a store that has nothing to do with it")
		}
		if p := f.Gate.ask(true, false); !f.Gate.started(p) {
			t.Error("a turn was not given back")
		}
	})
}

func TestFormIsMerged(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		m := f.mount()
		f.rivals = 2
		if err := m.SaveForm(t.Context(), fakeState{B: "mine"}); err != nil {
			t.Fatal(err)
		}
		v, err := decodeView(f.Names(), f.view)
		if err != nil || string(v.Fields[0]) != `"theirs"` || string(v.Fields[1]) != `"mine"` {
			t.Errorf("%v %s", err, f.view.State)
		}
		f.rivals = mountTries
		m = f.mount()
		if err := m.SaveForm(t.Context(), fakeState{B: "more"}); !errors.Is(err, push.ErrStateConflict) {
			t.Errorf("tries without end: %v", err)
		}
		if err := f.mount().SaveForm(t.Context(), m.shared.fields.With(fakeState{}, v.Fields)); err != nil {
			t.Errorf("what has not changed: %v", err)
		}
		f.rivals = 1
		m = f.mount(entry(9, "share"))
		m.apply(t, never)
		if err := m.Save(t.Context()); !errors.Is(err, push.ErrStateConflict) {
			t.Errorf("a mount that lost the race: %v", err)
		}
		f.commitErr = []error{errors.New("away")}
		if err := f.mount().SaveForm(t.Context(), fakeState{B: "z"}); err == nil || !strings.Contains(err.Error(), "away") {
			t.Errorf("store away: %v", err)
		}
	})
}

func TestNewMountFails(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		away := errors.New("away")
		none := func(context.Context) (push.Backlog, error) { return push.Backlog{}, away }
		for name, p := range map[string]programOf{"backlog": f.program(), "fields": {f, fakeFields{names: f.Names(), err: away}}} {
			if _, err := NewMount(t.Context(), f.Deps, key(), p, fakeState{}, none); !errors.Is(err, away) {
				t.Errorf("%s: %v", name, err)
			}
		}
		f.limit = 1
		if _, err := NewMount(t.Context(), f.Deps, key(), f.program(), fakeState{}, none); !errors.Is(err, ErrStateSize) {
			t.Errorf("size: %v", err)
		}
		f.loadErr = away
		if _, err := NewMount(t.Context(), f.Deps, key(), f.program(), fakeState{}, none); !errors.Is(err, away) {
			t.Errorf("view: %v", err)
		}
		if v, err := LoadView(t.Context(), f.Deps, key(), fakeFields{}); err != nil || v.Version != 0 {
			t.Errorf("a view without shared fields: %v", err)
		}
	})
}

func TestMerge(t *testing.T) {
	t.Parallel()
	values := func(list ...string) Values {
		v := make(Values, len(list))
		for i, text := range list {
			if text != "" {
				v[i] = json.RawMessage(text)
			}
		}
		return v
	}
	for why, tt := range map[string]struct{ base, mine, theirs, want Values }{
		"mine wins where it changed":    {values("1", "2"), values("1", "3"), values("4", "5"), values("4", "3")},
		"a field that the record lacks": {values("1"), values("1"), values(""), values("1")},
		"nothing changed":               {values("1", "2"), values("1", "2"), values("1", "2"), values("1", "2")},
	} {
		before := string(tt.theirs[0])
		if got := merge(tt.base, tt.mine, tt.theirs); !got.Equal(tt.want) || string(tt.theirs[0]) != before {
			t.Errorf("%s: %s", why, got)
		}
	}
}

func TestViewDocument(t *testing.T) {
	t.Parallel()
	v := View{Fields: Values{json.RawMessage("1"), nil}, Cursor: 9, Version: 3, Applied: Applied{{5, 9}}}
	for i := range maxViewSkipped + 3 {
		v.Skipped = append(v.Skipped, push.Seq(i))
	}
	r, err := v.encode([]string{"A", "B"})
	if err != nil {
		t.Fatal(err)
	}
	back, err := decodeView([]string{"A", "B"}, r)
	if err != nil || back.Version != 3 || back.Cursor != 9 || string(back.Fields[0]) != "1" || back.Fields[1] != nil ||
		len(back.Skipped) != maxViewSkipped || back.Skipped[0] != 3 || len(back.Applied) != 1 {
		t.Errorf("%v: %+v", err, back)
	}
	if !back.holds(push.Entry{Seq: 2}) || back.holds(push.Entry{Seq: 5}) || back.holds(push.Entry{Seq: 10}) {
		t.Error("holds what it skipped, or lacks what it has")
	}
	if _, err := decodeView(nil, push.ViewRecord{State: []byte("{")}); err == nil {
		t.Error("reads what is broken")
	}
	sh := shared{fields: fakeFields{names: []string{"A"}}}
	for i := range maxViewSkipped + 1 {
		sh.skip(push.Seq(i))
		sh.skip(push.Seq(i))
	}
	if len(sh.skipped) != maxViewSkipped || sh.skipped[0] != 1 {
		t.Errorf("%d skipped", len(sh.skipped))
	}
}
