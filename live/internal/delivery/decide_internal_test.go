package delivery

import (
	"testing"
	"time"
)

// TestDecide lists every verdict with its reason.
func TestDecide(t *testing.T) {
	t.Parallel()
	for why, tt := range map[string]struct {
		facts facts
		want  verdict
	}{
		"a topic message has no place to judge by":                     {facts{from: FromTopic, known: true}, runTopic},
		"a topic message that nobody handles was not taken":            {facts{from: FromTopic, handled: true}, runTopic},
		"what is a dead letter never runs again":                       {facts{deadLettered: true, handled: true, givenUp: true}, passOver},
		"what was given up is told to the store, and does not run":     {facts{givenUp: true, handled: true}, deadLetter},
		"what was given up comes before what it is":                    {facts{givenUp: true, unreadable: true}, deadLetter},
		"what cannot be read counts as a failure":                      {facts{unreadable: true, handled: true}, fail},
		"what cannot be read fails for a view that has no action too":  {facts{unreadable: true}, fail},
		"another view may have the action":                             {facts{known: true, held: true}, park},
		"what is new starts":                                           {facts{handled: true}, start},
		"what is new starts although the shared fields hold it":        {facts{handled: true, held: true, shares: true}, start},
		"what comes again may mean that the store fell back":           {facts{handled: true, known: true, shares: true, held: true}, look},
		"what comes again has nothing to change without shared fields": {facts{handled: true, known: true}, repeat},
		"both kinds of fields hold it":                                 {facts{handled: true, known: true, shares: true, looked: true, held: true}, repeat},
		"the shared fields lack what the own ones hold":                {facts{handled: true, known: true, shares: true, looked: true}, catchUp},
	} {
		if got := decide(tt.facts); got != tt.want {
			t.Errorf("%s: verdict %d, want %d", why, got, tt.want)
		}
	}
}

func TestDecideStart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		before   int
		isolated bool
		want     startVerdict
	}{
		{0, false, mayStart},
		{1, false, mayStart},
		{2, false, mustIsolate},
		{3, false, mustIsolate},
		{4, false, isSuspect},
		{0, true, mayStart},
		{2, true, mayStart},
		{3, true, mayStart},
		{4, true, isSuspect},
		{5, true, isSuspect},
	} {
		if got := decideStart(tt.before, tt.isolated); got != tt.want {
			t.Errorf("%d starts before, isolated %t: %d, want %d", tt.before, tt.isolated, got, tt.want)
		}
	}
	if most(false) != 2 || most(true) != 4 {
		t.Errorf("at most %d beside others and %d isolated", most(false), most(true))
	}
}

func TestDecideFailure(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		final bool
		tries int
		want  bool
	}{{false, 1, false}, {false, 2, false}, {false, 3, true}, {false, 4, true}, {true, 1, true}} {
		if got := decideFailure(tt.final, tt.tries, 3); got != tt.want {
			t.Errorf("final %t at try %d of 3: %t", tt.final, tt.tries, got)
		}
	}
}

func TestDecideSuspect(t *testing.T) {
	t.Parallel()
	at := time.Unix(100, 0)
	for why, tt := range map[string]struct {
		now          time.Time
		looked, held bool
		want         suspectVerdict
	}{
		"another process may survive it": {at.Add(-1), true, true, awaitSign},
		"the time is over just now":      {at, false, false, lookForSign},
		"what was held may have changed": {at.Add(1), false, true, lookForSign},
		"another page has survived it":   {at, true, true, clearOfIt},
		"nobody has":                     {at, true, false, condemn},
	} {
		if got := decideSuspect(tt.now, at, tt.looked, tt.held); got != tt.want {
			t.Errorf("%s: %d, want %d", why, got, tt.want)
		}
	}
}
