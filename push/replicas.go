package push

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// replicas follows, from look to look, what the replicas of a store have
// confirmed. It belongs to one goroutine.
//
// A push that was accepted before a look began lies before the offset that the
// look saw. So once every replica has confirmed the offsets of one look, every
// replica has all that was accepted before that look. One such look is
// remembered at a time, so it takes at most twice the replicas' lag to learn.
//
// A replica that is no longer listed is still waited for: it may be the very
// one that takes over, if the primary alone has lost sight of it. It is
// forgotten when as many follow again as ever did, since another has taken its
// place then, or after the timeout. So is one that nobody has listed yet, but
// that there must be: see unseen.
type replicas struct {
	timeout time.Duration

	primary string               // who took the writes at the last look, "" before the first
	masters map[string]*followed // by the master's ID
	waiting *look                // whose offsets are not confirmed yet
}

// followed is what is known of a master's replicas.
type followed struct {
	most  int // that were listed at a time
	known map[string]*replica
}

// unlisted begins the name of a replica that was never listed.
const unlisted = "unlisted "

// replica is one copy.
type replica struct {
	confirmed int64
	gone      time.Time // when it was first missed, zero while it is listed
}

// look is a moment, and how far each master had come then or later.
type look struct {
	began   time.Time
	offsets map[string]int64
}

// sight is what one look told.
type sight struct {
	// failover says that another server takes the writes than at the look
	// before, or that it was not known who did.
	failover bool
	// replicas is how many are known of the master that has most of them.
	replicas int
	// confirmed, when not zero, is a time: what was accepted before it, by
	// those who take the writes now, is known to all replicas.
	confirmed time.Time
	// forgotten are the replicas that are waited for no longer.
	forgotten []string
}

// look takes in what a store said to a question that was asked at began.
func (r *replicas) look(began time.Time, masters []Master) (s sight) {
	primary := primaryOf(masters)
	// At the first look too: whoever accepted what was published before it may
	// have been replaced since.
	s.failover = primary != r.primary
	if s.failover {
		r.waiting = nil
	}
	r.primary = primary
	before := r.masters
	r.masters = make(map[string]*followed, len(masters))
	now := look{began: began, offsets: make(map[string]int64, len(masters))}
	for _, m := range masters {
		f := before[m.ID]
		if f == nil {
			f = &followed{known: map[string]*replica{}}
			f.miss(began, unseen(m, before, masters))
		}
		r.masters[m.ID] = f
		s.forgotten = append(s.forgotten, f.look(began, m.Replicas, r.timeout)...)
		s.replicas = max(s.replicas, len(f.known))
		now.offsets[m.ID] = m.Offset
	}
	if r.waiting != nil && r.confirmed(*r.waiting) {
		s.confirmed, r.waiting = r.waiting.began, nil
	}
	if r.confirmed(now) {
		s.confirmed, r.waiting = began, nil
	} else if r.waiting == nil {
		r.waiting = &now
	}
	return s
}

// confirmed reports whether all known replicas have come as far as their
// masters had at the look.
func (r *replicas) confirmed(l look) bool {
	for id, f := range r.masters {
		for _, c := range f.known {
			if c.confirmed < l.offsets[id] {
				return false
			}
		}
	}
	return true
}

// unseen is how many replicas a master must have that was not known before, as
// far as it may not list them.
//
// At the first look, one: it tells that one has followed, and lists none. Later
// it has taken a master's place, with the replicas of that one, less itself if it
// was one of them. A restarted server has not been followed yet.
func unseen(m Master, before map[string]*followed, now []Master) int {
	if before == nil {
		if m.Followed && len(m.Replicas) == 0 {
			return 1
		}
		return 0
	}
	most := 0
	for id, f := range before {
		if !slices.ContainsFunc(now, func(m Master) bool { return m.ID == id }) {
			most = max(most, f.most)
		}
	}
	if m.Followed {
		most--
	}
	return max(most, 0)
}

// miss notes replicas that are out of sight.
func (f *followed) miss(now time.Time, n int) {
	for i := range n {
		f.known[unlisted+strconv.Itoa(i)] = &replica{confirmed: -1, gone: now}
	}
	f.most = n
}

// look notes who is listed, and returns whom it has forgotten.
func (f *followed) look(now time.Time, listed map[string]int64, timeout time.Duration) (forgotten []string) {
	for id, offset := range listed {
		f.known[id] = &replica{confirmed: offset}
	}
	f.most = max(f.most, len(listed))
	for id, c := range f.known {
		if _, here := listed[id]; !here && c.gone.IsZero() {
			c.gone = now
		}
	}
	before := len(f.known)
	for id, c := range maps.Clone(f.known) {
		replaced, late := len(listed) >= f.most, now.Sub(c.gone) >= timeout
		if c.gone.IsZero() || (!replaced && !late) {
			continue
		}
		delete(f.known, id)
		if late || !strings.HasPrefix(id, unlisted) { // else it is the one that is listed now
			forgotten = append(forgotten, id)
		}
	}
	if len(f.known) < f.most && len(f.known) < before {
		f.most = len(f.known)
	}
	return forgotten
}
