package push

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// keptOverhead stands for what a kept push takes besides its texts.
const keptOverhead = 200

// kept holds the accepted pushes that a failover may lose, in the order in
// which they were accepted.
//
// It is off after Publisher.Run, and while the store has no replica. Before Run
// nobody tells whether there is one: Run may be a moment late, so what is younger
// than the window is kept for it. While it is on, a push goes through these
// states:
//
//	under way   reserve: room for it is taken
//	(refused)   cancel: the store did not accept it
//	kept        accept
//	confirmed   confirm: every replica has it
//	(released)  confirm: it is confirmed, and older than the window as well;
//	            or reserve: it is confirmed, and another push needs its room
//	deposed     depose, from kept and confirmed, and accept, when there was a
//	            failover while it was under way: another server takes the
//	            writes, and may lack it
//	kept        replayed, from deposed: that server has it now
//
// So nothing but a confirmed push is ever let go; but see blind.
type kept struct {
	max    int           // bytes
	window time.Duration // before Run
	on     atomic.Bool   // written under mu

	mu        sync.Mutex
	life      uint64 // counts calls of turn, from one
	term      uint64 // counts calls of depose
	pushes    []keptPush
	head      int           // of pushes
	bytes     int           // of pushes, and of what is under way
	confirmed time.Time     // every replica has what was accepted before
	full      bool          // somebody has waited for room lately
	early     bool          // Run has not begun
	blind     bool          // nobody will tell: then the oldest make room, confirmed or not
	freed     chan struct{} // closed when there may be room
}

// keptPush is an accepted push.
type keptPush struct {
	message Message
	at      time.Time // when it was accepted
	term    uint64    // in which its append began; a lower one than kept's means deposed
}

// room is what a push that is under way has taken: nothing if it is not kept.
type room struct {
	size       int
	life, term uint64
}

// newKept is on from the start if the store can have replicas.
func newKept(limit int, window time.Duration, on bool) *kept {
	k := &kept{max: limit, window: window, life: 1, early: true, blind: true, freed: make(chan struct{})}
	k.on.Store(on)
	return k
}

// begin has what was kept before Run, and is under way, kept on.
func (k *kept) begin() {
	k.mu.Lock()
	early := k.early
	k.early, k.blind = false, false
	k.mu.Unlock()
	if !early {
		k.turn(true)
	}
}

// keeps reports whether a push is kept at all. A value that its successor
// replaces is not: published again it would come after its successor, or after
// the end.
func (k *kept) keeps(m Message) bool { return k.on.Load() && (m.Replaces == "" || m.Final) }

func sizeOf(m Message) int {
	return len(m.ID) + len(m.Session) + len(m.Action) + len(m.Data) + len(m.Replaces) + len(m.Traceparent) + keptOverhead
}

// turn switches it on or off, and forgets everything.
func (k *kept) turn(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.on.Store(on)
	k.life++
	k.pushes, k.head, k.bytes, k.confirmed, k.full = nil, 0, 0, time.Time{}, false
	k.wake()
}

// reserve takes room for a push. When there is none freed is closed once it is
// worth while to ask again. A push that is larger than all room there is has to
// be alone.
func (k *kept) reserve(size int) (r room, released int, freed <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.early && k.head < len(k.pushes) && time.Since(k.pushes[k.head].at) > k.window {
		k.releaseFirst()
	}
	for k.bytes+size > k.max && k.head < len(k.pushes) && (k.blind || k.isConfirmed(k.pushes[k.head])) {
		k.releaseFirst()
		released++
	}
	if k.bytes+size > k.max && k.bytes > 0 {
		return room{}, released, k.freed
	}
	k.bytes += size
	return room{size: size, life: k.life, term: k.term}, released, nil
}

// see notes whether the store still tells what the replicas have.
func (k *kept) see(blind bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.blind = blind; blind {
		k.wake()
	}
}

// fill notes that a push waits for room, and reports whether that is news.
func (k *kept) fill() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	news := !k.full
	k.full = true
	return news
}

// cancel gives back the room of a push that was not accepted.
func (k *kept) cancel(r room) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.life == k.life {
		k.bytes -= r.size
		k.wake()
	}
}

// accept keeps a push that the store has accepted, in the room taken for it.
func (k *kept) accept(r room, m Message) {
	m.Data = bytes.Clone(m.Data) // the caller may use it again
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.life == k.life {
		k.pushes = append(k.pushes, keptPush{m, time.Now(), r.term})
	}
}

func (k *kept) isDeposed(p keptPush) bool { return p.term < k.term }

func (k *kept) isConfirmed(p keptPush) bool { return !k.isDeposed(p) && p.at.Before(k.confirmed) }

// confirm notes that every replica has what was accepted before a time, and
// releases what was accepted before the window too. It reports whether there is
// plenty of room again after somebody has waited for it.
func (k *kept) confirm(before, window time.Time) (recovered bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if before.After(k.confirmed) {
		k.confirmed = before
	}
	for k.head < len(k.pushes) && k.isConfirmed(k.pushes[k.head]) && k.pushes[k.head].at.Before(window) {
		k.releaseFirst()
	}
	k.wake() // reserve may release what is confirmed now
	if k.full && k.unconfirmed() <= k.max/2 {
		k.full = false
		return true
	}
	return false
}

// depose notes that another server takes the writes.
func (k *kept) depose() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.term++
	k.confirmed = time.Time{}
}

// deposed returns what has to be published again, in order for each session.
func (k *kept) deposed() map[string][]Message {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := map[string][]Message{}
	for _, p := range k.pushes[k.head:] {
		if k.isDeposed(p) {
			all[p.message.Session] = append(all[p.message.Session], p.message)
		}
	}
	return all
}

// replayed takes back what was published again in a term. What was stored by
// that is as young as if it were accepted now, which it was: the server that
// has just taken it may be replaced too. What the server had already keeps its
// age: repeated from one failover to the next, it would outlive what the pages
// remember.
func (k *kept) replayed(term uint64, done map[sessionPush]Receipt) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	live := k.pushes[k.head:]
	var stored []keptPush
	rest := live[:0]
	for _, p := range live {
		receipt, ok := done[sessionPush{p.message.Session, p.message.ID}]
		switch {
		case !ok || !k.isDeposed(p):
			rest = append(rest, p)
		case receipt.Duplicate:
			p.term = term
			rest = append(rest, p)
		default:
			stored = append(stored, keptPush{p.message, now, term})
		}
	}
	clear(live[len(rest):])
	k.pushes = append(k.pushes[:k.head+len(rest)], stored...)
}

// sessionPush names a push: its ID is its session's own.
type sessionPush struct{ session, id string }

// terms returns the number of failovers so far.
func (k *kept) terms() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.term
}

// waiting returns the bytes of what is not confirmed.
func (k *kept) waiting() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unconfirmed()
}

func (k *kept) unconfirmed() int {
	n := k.bytes
	for _, p := range k.pushes[k.head:] {
		if !k.isConfirmed(p) {
			break
		}
		n -= sizeOf(p.message)
	}
	return n
}

func (k *kept) releaseFirst() {
	k.bytes -= sizeOf(k.pushes[k.head].message)
	k.pushes[k.head] = keptPush{}
	k.head++
	if k.head > len(k.pushes)/2 {
		k.pushes = slices.Delete(k.pushes, 0, k.head)
		k.head = 0
	}
}

// wake has everybody who waits for room ask again.
func (k *kept) wake() {
	close(k.freed)
	k.freed = make(chan struct{})
}
