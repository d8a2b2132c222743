package live

import (
	"math"
	"slices"
	"strings"
)

// refusal is the error of a message, kept until the browser has it for certain:
// a later message's answer would make it take this one for done.
type refusal struct {
	frameError
	// frame is the one that told of it on this WebSocket, 0 before.
	frame uint64
	// left says that it came with the record, and that the browser has not
	// sent its message again yet. It may have heard of it.
	left bool
}

// refusals are in no order. An idle connection has none.
type refusals []refusal

const (
	// maxRefusals bounds the errors that a browser may leave unconfirmed, like
	// maxOutstanding, before its connection is cut.
	maxRefusals = maxOutstanding
	// maxRefusalText bounds what is kept of an error's text, in bytes. Only in
	// development it is longer.
	maxRefusalText = 256
)

// add keeps an error that is about to be told.
func (r *refusals) add(e frameError) {
	if e.Number == 0 {
		return
	}
	if len(e.Text) > maxRefusalText {
		e.Text = strings.ToValidUTF8(e.Text[:maxRefusalText], "") + "…"
	}
	r.drop(func(old refusal) bool { return old.Number == e.Number })
	*r = append(*r, refusal{frameError: e})
}

// told notes the frame that tells of a message's error.
func (r refusals) told(number, frame uint64) {
	for i := range r {
		if r[i].Number == number {
			r[i].frame = frame
		}
	}
}

// confirm forgets what the browser has rendered: all frames up to one.
func (r *refusals) confirm(frame uint64) {
	r.drop(func(old refusal) bool { return old.frame != 0 && old.frame <= frame })
}

// asked notes that a message has come, and returns its error when the browser
// wants to know what became of it. A browser sends all that it has no answer to
// again, in order, before anything else: of what it passes over it has heard.
func (r *refusals) asked(number uint64) *frameError {
	r.drop(func(old refusal) bool { return old.left && old.Number < number })
	for i := range *r {
		if e := &(*r)[i]; e.left && e.Number == number {
			e.left = false
			return &e.frameError
		}
	}
	return nil
}

// ran forgets the error of a message that runs after all: the browser has sent
// it again on its own.
func (r *refusals) ran(number uint64) {
	r.drop(func(old refusal) bool { return old.Number == number })
}

func (r *refusals) drop(match func(refusal) bool) {
	if *r = slices.DeleteFunc(*r, match); len(*r) == 0 {
		*r = nil
	}
}

// answerable is the highest number that an answer may name: an answer covers
// all numbers below, and the errors among them come first.
func (r refusals) answerable() uint64 {
	limit := uint64(math.MaxUint64)
	for _, e := range r {
		if e.frame == 0 {
			limit = min(limit, e.Number-1)
		}
	}
	return limit
}

// below returns the errors of messages that a record with this message number
// takes for dealt with. The others the browser sends again, and they run then.
func (r refusals) below(client uint64) []frameError {
	var out []frameError
	for _, e := range r {
		if e.Number <= client {
			out = append(out, e.frameError)
		}
	}
	return out
}

// refusalsOf makes those of a record.
func refusalsOf(stored []frameError) refusals {
	var r refusals
	for _, e := range stored[:min(len(stored), maxRefusals)] {
		r = append(r, refusal{frameError: e, left: true})
	}
	return r
}
