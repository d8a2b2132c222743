// Package history checks what live pages showed against what publishers were
// promised. A page of the fault tests keeps every push it applied, as a list of
// tokens, in its state; each frame shows the whole list. So each observation is
// the connection's complete history, and "applied once, in order, none lost" is
// a statement about lists.
package history

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
)

// Push is one that a publisher got nil for.
type Push struct {
	Session string
	// Token names the push within its session.
	Token string
	// Seq is the place in the mailbox that the receipt gave.
	Seq uint64
}

// Checker compares. It is safe for concurrent use.
type Checker struct {
	// Lossy says that the store loses what it accepted last, states too, and
	// publishers send it again: order and continuity are counted, and are no
	// violations, and of a history that begins somewhere nobody knows where
	// it should. Set it before use.
	Lossy bool

	mu       sync.Mutex
	accepted map[string]map[string]uint64 // session -> token -> seq
	views    map[string]*view
	report   Report
}

// view is the last history that one connection (or one shared record) showed.
type view struct {
	session string
	// whole is set when it existed before the session's first push, and must
	// hold every one; else it may begin anywhere.
	whole bool
	log   []string
}

// Report counts violations; all are zero when the guarantees held.
type Report struct {
	// Accepted is the number of pushes that had to arrive.
	Accepted int
	// Views is the number of histories compared.
	Views int
	// Applied is the number of tokens in them.
	Applied int
	// Lost counts accepted pushes that a history should have and has not.
	Lost int
	// Twice counts second applications, and pushes stored under two places.
	Twice int
	// Disorder counts neighbours in the wrong order.
	Disorder int
	// Rewound counts observations that do not continue the one before.
	Rewound int
	// Foreign counts tokens that nobody pushed into that session.
	Foreign int
	// Details describes the first violations.
	Details []string
	// Lossy is the Checker's.
	Lossy bool
}

// Violations is the sum of all kinds. See Checker.Lossy.
func (r Report) Violations() int {
	n := r.Lost + r.Twice + r.Foreign
	if !r.Lossy {
		n += r.Disorder + r.Rewound
	}
	return n
}

// String is one line.
func (r Report) String() string {
	return fmt.Sprintf("%d pushes, %d histories, %d applications: %d lost, %d twice, %d out of order, %d rewound, %d foreign",
		r.Accepted, r.Views, r.Applied, r.Lost, r.Twice, r.Disorder, r.Rewound, r.Foreign)
}

// New returns an empty Checker.
func New() *Checker {
	return &Checker{accepted: map[string]map[string]uint64{}, views: map[string]*view{}}
}

// Accept notes a push that must arrive. Noting it again is harmless, unless it
// was given another place: then it is stored twice.
func (c *Checker) Accept(p Push) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tokens := c.accepted[p.Session]
	if tokens == nil {
		tokens = map[string]uint64{}
		c.accepted[p.Session] = tokens
	}
	if seq, known := tokens[p.Token]; known && seq != p.Seq && !c.Lossy {
		c.report.Twice++
		c.say("session %s: push %s is stored at %d and at %d", p.Session, p.Token, seq, p.Seq)
		return
	}
	tokens[p.Token] = p.Seq
}

// Show notes what a view of the session shows now. name is unique to the
// connection or shared record. whole says that it was there before the
// session's first push.
func (c *Checker) Show(name, session string, whole bool, log []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.views[name]
	if v == nil {
		v = &view{session: session, whole: whole}
		c.views[name] = v
	}
	if len(log) < len(v.log) || !slices.Equal(log[:len(v.log)], v.log) {
		c.report.Rewound++
		c.sayOrder("%s: showed %v, then %v", name, end(v.log), end(log))
	}
	v.log = slices.Clone(log)
}

// Forget drops a history: its connection's state went with the store's.
func (c *Checker) Forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.views, name)
}

// Report compares everything noted so far.
func (c *Checker) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Lossy = c.Lossy
	before := c.report
	defer func() { c.report = before }() // what is judged at the end is judged anew by the next Report
	for _, tokens := range c.accepted {
		c.report.Accepted += len(tokens)
	}
	c.report.Views = len(c.views)
	order := map[string][]string{}
	for session, tokens := range c.accepted {
		order[session] = inOrder(tokens)
	}
	for name, v := range c.views {
		c.judge(name, v, order[v.session])
	}
	return c.report
}

// judge compares one history with the session's pushes in mailbox order.
func (c *Checker) judge(name string, v *view, want []string) {
	seqs := c.accepted[v.session]
	c.report.Applied += len(v.log)
	seen := map[string]bool{}
	first, last := uint64(0), uint64(0)
	for _, token := range v.log {
		seq, known := seqs[token]
		switch {
		case !known:
			c.report.Foreign++
			c.say("%s: shows %s, which nobody pushed into its session", name, token)
			continue
		case seen[token]:
			c.report.Twice++
			c.say("%s: applied %s twice", name, token)
			continue
		case seq < last:
			c.report.Disorder++
			c.sayOrder("%s: applied %s (%d) after %d", name, token, seq, last)
		}
		seen[token] = true
		last = max(last, seq)
		if first == 0 {
			first = seq
		}
	}
	if v.whole {
		first = 0
	}
	for _, token := range want {
		if seqs[token] >= first && !seen[token] && (v.whole || (len(v.log) > 0 && !c.Lossy)) {
			c.report.Lost++
			c.say("%s: lacks %s (%d)", name, token, seqs[token])
		}
	}
}

// Missing returns how many accepted pushes the views that have to hold them
// all do not show yet: what a test waits for before it judges.
func (c *Checker) Missing() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, v := range c.views {
		if v.whole {
			n += max(0, len(c.accepted[v.session])-len(v.log))
		}
	}
	return n
}

// Details is bounded, the counts are not.
const maxDetails = 20

func (c *Checker) say(format string, args ...any) {
	if len(c.report.Details) < maxDetails {
		c.report.Details = append(c.report.Details, fmt.Sprintf(format, args...))
	}
}

func (c *Checker) sayOrder(format string, args ...any) {
	if !c.Lossy {
		c.say(format, args...)
	}
}

func inOrder(tokens map[string]uint64) []string {
	list := make([]string, 0, len(tokens))
	for token := range tokens {
		list = append(list, token)
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Compare(tokens[a], tokens[b]) })
	return list
}

func end(log []string) []string { return log[max(0, len(log)-5):] }
