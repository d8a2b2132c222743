package delivery

import "time"

// facts are what is known of an entry that is next.
type facts struct {
	from         Source
	deadLettered bool // it is a dead letter
	givenUp      bool // it has been given up, but the store does not know yet
	unreadable   bool // the entry cannot be decoded
	handled      bool // the view has the action
	known        bool // the page's own fields hold it: by its place or its ID
	looked       bool // the shared fields have been read anew for it
	held         bool // the shared fields hold it
	shares       bool // the view shares fields
}

// verdict is what becomes of an entry.
type verdict int

const (
	// runTopic: a topic message runs once, and is never repeated.
	runTopic verdict = iota
	// passOver: it is a dead letter already, and the place moves past it.
	passOver
	// deadLetter: the store has to hear that it was given up.
	deadLetter
	// fail: nobody can run it; it counts as a failed try.
	fail
	// park: another view may have the action; it stays in the mailbox.
	park
	// look: it came again, so the store may have fallen back: the shared fields
	// are read before it is judged.
	look
	// repeat: all that it would change holds it already.
	repeat
	// catchUp: the own fields hold it, the shared ones lack it. It has been
	// survived, so it starts unasked.
	catchUp
	// start: it runs as soon as it may start.
	start
)

// decide says what becomes of an entry. The order of the cases is the
// correctness: what has been given up never runs, what is known never asks to
// start.
func decide(f facts) verdict {
	switch {
	case f.from == FromTopic:
		return runTopic
	case f.deadLettered:
		return passOver
	case f.givenUp:
		return deadLetter
	case f.unreadable:
		return fail
	case !f.handled:
		return park
	case !f.known:
		return start
	case f.shares && !f.looked:
		return look
	case f.held || !f.shares:
		return repeat
	default:
		return catchUp
	}
}

const (
	// maxBeside is how many counted starts a push may have beside others. It is
	// more than one so that thousands of pages that come back after a crash, and
	// after a second one, are not held up by one another.
	maxBeside = 2
	// maxStarts is how many counted starts a push may have. Two of them are
	// isolated: one may fall together with a death that has another cause.
	maxStarts = 4
)

// most is how many starts of a push may be counted before one that is isolated,
// or beside others.
func most(isolated bool) int {
	if isolated {
		return maxStarts
	}
	return maxBeside
}

// startVerdict is whether a push may start.
type startVerdict int

const (
	// mayStart: now.
	mayStart startVerdict = iota
	// mustWait: for its turn at the gate.
	mustWait
	// mustIsolate: it was there at too many deaths to start beside others.
	mustIsolate
	// isSuspect: no process has survived it.
	isSuspect
	// isUnknown: the store does not answer.
	isUnknown
)

// decideStart judges a push by its counted starts before this one.
func decideStart(before int, isolated bool) startVerdict {
	switch {
	case before < most(isolated):
		return mayStart
	case before < maxStarts:
		return mustIsolate
	default:
		return isSuspect
	}
}

// decideFailure says whether a failed push is given up.
func decideFailure(final bool, tries, bound int) (giveUp bool) { return final || tries >= bound }

// suspectVerdict is what becomes of a push that no process has survived.
type suspectVerdict int

const (
	// awaitSign: another process may just be surviving it.
	awaitSign suspectVerdict = iota
	// lookForSign: the time is over, and the shared fields may tell.
	lookForSign
	// clearOfIt: another page has survived it, and a replay of the letter would
	// repeat what it did to the shared fields. This page passes it over.
	clearOfIt
	// condemn: it is a dead letter.
	condemn
)

// decideSuspect judges a suspect. giveUpAt is when the waiting is over.
func decideSuspect(now, giveUpAt time.Time, looked, held bool) suspectVerdict {
	switch {
	case now.Before(giveUpAt):
		return awaitSign
	case !looked:
		return lookForSign
	case held:
		return clearOfIt
	default:
		return condemn
	}
}
