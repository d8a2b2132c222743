package delivery

import (
	"slices"

	"lastmile/push"
)

// failover is what a page does about a store that a replica has taken over: the
// replica may lack the latest pushes, and the latest of what the page has
// stored.
//
//	level --fellBack--> back --reread--> catching up --passed(own)--> level
//	                     ^                    |
//	                     +-----fellBack-------+
//
// level: shared fields and own fields stand at the same push. back: the shared
// fields fell back to the push from. catching up: pushes up to own come again
// and change the shared fields alone, at is the last of them.
type failover struct {
	term uint64 // push.Node.Term, as far as the page has dealt with it
	back bool
	from push.Seq
	// own is the last push that the page's own fields hold although it may
	// come again, at the last one that came again.
	own, at push.Seq
}

// behind reports whether the shared fields have to catch up with the page's own
// ones before anything else may change them.
func (f *failover) behind() bool { return f.back || f.at < f.own }

// place is what the shared fields stand at when the page stands at the cursor.
func (f *failover) place(cursor push.Seq) push.Seq {
	if f.at < f.own {
		return f.at
	}
	return cursor
}

// fellBack notes that the shared fields are those of an earlier push.
func (f *failover) fellBack(to push.Seq) { f.back, f.from = true, to }

// tooLate notes that the pushes to read again are gone, or need not be read.
func (f *failover) tooLate() { f.back = false }

// reread notes that pushes are read again from a place, up to the page's own.
func (f *failover) reread(from, own push.Seq) { f.back, f.at, f.own = false, from, own }

// passed notes a push that is dealt with.
func (f *failover) passed(seq push.Seq) { f.at = max(f.at, min(seq, f.own)) }

// caughtUp notes that nothing is left to come again.
func (f *failover) caughtUp() { f.passed(f.own) }

// undone notes that what is in line is to run again. Topic messages have no
// place.
func (f *failover) undone(line []*item) {
	i := slices.IndexFunc(line, func(it *item) bool { return it.from == FromPush })
	if i >= 0 && line[i].entry.Seq <= f.at {
		f.at = line[i].entry.Seq - 1
	}
}
