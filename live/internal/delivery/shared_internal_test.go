package delivery

import (
	"encoding/json"
	"slices"
	"testing"

	"lastmile/push"
)

// fieldsOf are A and an empty B.
func fieldsOf(a string) Values {
	text, _ := json.Marshal(a) // a string
	return Values{text, json.RawMessage(`""`)}
}

// TestNextView: what is stored never stands before what the record has, and
// remembers of the pushes up to there alone that they were skipped, each once.
func TestNextView(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cursor, place       push.Seq
		known, skipped      []push.Seq
		state               fakeState
		wantCursor          push.Seq
		wantSkipped         []push.Seq
		wantUnchangedFields bool
	}{
		"the page is ahead":                  {cursor: 3, place: 7, state: fakeState{A: "x"}, wantCursor: 7},
		"another page is ahead":              {cursor: 9, place: 4, state: fakeState{A: "x"}, wantCursor: 9},
		"skipped by both":                    {cursor: 3, place: 7, known: []push.Seq{2, 3}, skipped: []push.Seq{3, 6}, state: fakeState{A: "x"}, wantCursor: 7, wantSkipped: []push.Seq{2, 3, 6}},
		"skipped before a failover":          {cursor: 3, place: 5, skipped: []push.Seq{4, 6}, state: fakeState{A: "x"}, wantCursor: 5, wantSkipped: []push.Seq{4}},
		"skipped at the place":               {cursor: 3, place: 5, skipped: []push.Seq{5}, state: fakeState{A: "x"}, wantCursor: 5, wantSkipped: []push.Seq{5}},
		"skipped where another page is past": {cursor: 9, place: 5, skipped: []push.Seq{5, 8}, state: fakeState{A: "x"}, wantCursor: 9, wantSkipped: []push.Seq{5, 8}},
		"the fields are as they were":        {cursor: 3, place: 7, skipped: []push.Seq{6}, state: fakeState{Own: "x"}, wantUnchangedFields: true},
	} {
		sh := shared{
			fields: fakeFields{names: []string{"A", "B"}}, base: fieldsOf(""), skipped: tt.skipped,
			view: View{Fields: fieldsOf(""), Cursor: tt.cursor, Version: 4, Skipped: tt.known},
		}
		got, changed, err := sh.next(tt.state, tt.place)
		if err != nil || changed == tt.wantUnchangedFields {
			t.Errorf("%s: changed: %v, %v", name, changed, err)
		}
		if changed && (got.Cursor != tt.wantCursor || got.Version != 4 || !slices.Equal(got.Skipped, tt.wantSkipped)) {
			t.Errorf("%s: at %d without %v, want at %d without %v", name, got.Cursor, got.Skipped, tt.wantCursor, tt.wantSkipped)
		}
	}
}

// TestStoredViewBeginsAnew: what is in the record is not added to the next one
// again, else a push that runs after all would count as skipped for ever.
func TestStoredViewBeginsAnew(t *testing.T) {
	t.Parallel()
	sh := shared{fields: fakeFields{names: []string{"A", "B"}}, base: fieldsOf("")}
	sh.skip(4)
	sh.applied = Applied{{1, 5}}
	v, changed, err := sh.next(fakeState{A: "x"}, 5)
	if err != nil || !changed || !slices.Equal(v.Skipped, []push.Seq{4}) || len(v.Applied) != 1 {
		t.Fatalf("%+v, %v, %v", v, changed, err)
	}
	sh.stored(v, 1)
	if len(sh.applied) != 0 || len(sh.skipped) != 0 {
		t.Errorf("what is stored is kept beside: %v and %v", sh.applied, sh.skipped)
	}
	sh.unskip(4)
	if v, _, _ := sh.next(fakeState{A: "y"}, 6); len(v.Skipped) != 0 || v.Version != 1 || len(v.Applied) != 1 {
		t.Errorf("the next record: %+v", v)
	}
	if _, changed, _ := sh.next(fakeState{A: "x"}, 6); changed {
		t.Error("what is stored counts as new")
	}
}

// TestAdoptWithoutARecord: the page's fields are new, and stay, unless a replica
// that took over may have lost the record that the page has seen.
func TestAdoptWithoutARecord(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		seen     uint64 // the version of the record that the page has seen
		record   View
		fellBack bool
		want     string
		isNew    bool
	}{
		"never was one":                   {want: "mine", isNew: true},
		"never was one, with replicas":    {fellBack: true, want: "mine", isNew: true},
		"too old, and gone":               {seen: 2, want: "mine", isNew: true},
		"lost by a failover":              {seen: 2, fellBack: true, want: ""},
		"an older one after a failover":   {seen: 2, record: View{Fields: fieldsOf("old"), Version: 1}, fellBack: true, want: "old"},
		"the one that another page wrote": {seen: 2, record: View{Fields: fieldsOf("theirs"), Version: 3}, want: "theirs"},
	} {
		if tt.record.Fields == nil {
			tt.record.Fields = make(Values, 2)
		}
		sh := shared{fields: fakeFields{names: []string{"A", "B"}}, base: fieldsOf("mine"), view: View{Version: tt.seen}, applied: Applied{{1, 1}}}
		state, err := sh.adopt(fakeState{Own: "own", A: "mine"}, tt.record, tt.fellBack)
		if err != nil || state != (fakeState{Own: "own", A: tt.want}) || len(sh.applied) != 0 {
			t.Errorf("%s: %+v, %v", name, state, err)
		}
		if _, isNew, err := sh.next(state, 1); err != nil || isNew != tt.isNew {
			t.Errorf("%s: to be stored: %v, %v", name, isNew, err)
		}
	}
}

// TestOnlyTheSharedFields: of a push that the page's own fields hold already,
// its run changes the shared ones alone.
func TestOnlyTheSharedFields(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	sh := shared{fields: f.program().Fields()}
	now, err := f.Encode(fakeState{Own: "once", A: "a"})
	if err != nil {
		t.Fatal(err)
	}
	out, err := sh.only(t.Context(), f.program(), now, Outcome{State: fakeState{Own: "twice", A: "b"}, Encoded: now, Effects: fakeEffects("say")})
	want := fakeState{Own: "once", A: "b"}
	encoded, _ := f.Encode(want) // it is small
	if err != nil || out.State != want || string(out.Encoded) != string(encoded) || out.Effects != nil {
		t.Errorf("%+v, %s, %v, want %+v", out.State, out.Encoded, err, want)
	}
}
