package delivery

import (
	"context"
	"errors"
	"time"

	"lastmile/push"
)

// Snapshot is a state, as it is stored, with the place it stands at.
type Snapshot struct {
	Encoded []byte
	Cursor  push.Seq
	// Client is the number of the last message of the browser in the state.
	Client  uint64
	Applied Applied
}

// record is the page's state and what the store has of it. saved is never ahead
// of now; when unsaved is false they are the same.
type record struct {
	now     Snapshot // what the page has
	saved   Snapshot // what the store has
	state   any      // of now
	fence   uint64
	epoch   string
	created bool // the store has a record
	unsaved bool // now and saved differ, or what goes with them

	commitAt time.Time // when to store at the latest, zero for not at all
	storedAt time.Time
	stall    stall
}

// stall is a wait for a store that does not answer.
type stall struct {
	tries int
	until time.Time
}

const (
	stallBase = 50 * time.Millisecond
	stallMax  = 2 * time.Second
)

// touch has the store told within a delay.
func (r *record) touch(delay time.Duration) {
	r.unsaved = true
	if r.commitAt.IsZero() {
		r.commitAt = time.Now().Add(delay)
	}
}

// take makes a run's state the page's.
func (r *record) take(out Outcome) {
	r.state = out.State
	if string(out.Encoded) != string(r.now.Encoded) {
		r.now.Encoded = out.Encoded
		r.unsaved = true
	}
}

// restore takes back what a failed run may have done to the state in place.
func (r *record) restore(ctx context.Context, p Program) error {
	if p.Flat() {
		return nil
	}
	state, err := p.Decode(r.now.Encoded)
	if err != nil {
		return err
	}
	r.state = state // without the fields that are not stored it can be stored still
	if state, err = p.Load(ctx, state); err == nil {
		r.state = state
	}
	return err
}

// goBack returns to what the store has, but for the fields that it does not
// store. What the browser has been answered stays answered.
func (r *record) goBack(p Program) error {
	state, err := p.Decode(r.saved.Encoded)
	if err != nil {
		return err
	}
	client := r.now.Client
	r.state, r.now = state, r.saved
	r.now.Client = client
	r.unsaved, r.commitAt = false, time.Time{}
	return nil
}

// isStored notes that the store has what the page has.
func (r *record) isStored() {
	r.saved, r.unsaved = r.now, false
	r.commitAt, r.storedAt = time.Time{}, time.Now()
	r.stall = stall{}
}

// pause stops the page until the store may answer again. It reports whether
// that is the first time.
func (r *record) pause() (first bool) {
	first = r.stall.tries == 0
	r.stall.until = time.Now().Add(push.Backoff(r.stall.tries, stallBase, stallMax))
	r.stall.tries++
	return first
}

func tooLarge(err error) bool { return errors.Is(err, ErrStateSize) }
