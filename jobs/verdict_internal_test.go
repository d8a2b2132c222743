package jobs

import "testing"

func TestParseBegun(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]beginning{
		"run": beginRun, "cancel": beginCancel, "spent": beginSpent, "over": beginOver, "undelivered": beginUndelivered, "old": beginOld, "gone": beginGone, "stale": beginStale,
	} {
		b, err := parseBegun(reply{text, "7", int64(2), "3"})
		if err != nil || b.beginning != want {
			t.Errorf("%s: %+v, %v", text, b, err)
		}
		if runs := want == beginRun || want == beginCancel || want == beginSpent; runs != (b.run == 7) || runs != (b.attempt == 2) || runs != (b.limit == 3) {
			t.Errorf("%s: %+v", text, b)
		}
	}
	if _, err := parseBegun(reply{"perhaps"}); err == nil {
		t.Error("an answer that nobody knows is taken for one")
	}
}

func TestParseVerdicts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]creation{
		"new": createNew, "open": createOpen, "kept": createKept, "stale": createStale,
	} {
		if c, err := parseCreated(reply{text, "2", int64(3), "queued", int64(1)}); err != nil || c != (created{want, 2, 3, StateQueued, true}) {
			t.Errorf("create %s: %+v, %v", text, c, err)
		}
	}
	for text, want := range map[string]cancelling{
		"idle": cancelIdle, "signal": cancelSignal, "over": cancelOver, "undelivered": cancelUndelivered, "gone": cancelGone,
	} {
		if c, err := parseCancelled(reply{text, "2", "3", "running"}); err != nil || c != (cancelled{want, 2, 3, StateRunning}) {
			t.Errorf("cancel %s: %+v, %v", text, c, err)
		}
	}
	for text, want := range map[string]joining{"run": joined, "over": joinOver, "stale": joinStale} {
		if v, err := parseJoining(reply{text}); err != nil || v != want {
			t.Errorf("join %s: %v, %v", text, v, err)
		}
	}
	for text, want := range map[string]decision{"done": endStored, "over": endWasDecided, "stale": endStale} {
		if v, err := parseFinished(reply{text, "failed", "f", int64(2), "to"}); err != nil || v != (finished{want, StateFailed, "f", 2, "to"}) {
			t.Errorf("finish %s: %+v, %v", text, v, err)
		}
	}
	_, create := parseCreated(reply{"perhaps"})
	_, cancel := parseCancelled(reply{"perhaps"})
	_, join := parseJoining(nil)
	_, finish := parseFinished(reply{"perhaps"})
	for _, err := range []error{create, cancel, join, finish} {
		if err == nil {
			t.Error("an answer that nobody knows is taken for one")
		}
	}
	for _, tt := range []struct {
		r    reply
		want beat
	}{
		{reply{int64(-1)}, beat{superseded: true}},
		{reply{int64(1), int64(2), int64(0)}, beat{cancelled: true, dests: 2}},
		{reply{int64(0), int64(1), int64(1)}, beat{dests: 1, stalled: true}},
	} {
		if got := parseBeat(tt.r); got != tt.want {
			t.Errorf("beat %v: %+v", tt.r, got)
		}
	}
}
