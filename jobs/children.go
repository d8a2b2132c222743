package jobs

import (
	"context"
	"strconv"
	"sync"
)

// children names the jobs that one run of a handler enqueues, so that the next
// run of the same job does not enqueue them again.
//
// A name derives from the job, its generation, the child's kind and arguments,
// and a count of equal ones. A count of all children alone would mix up those of
// a handler that enqueues from several goroutines: after a run that got half way
// a child that is missing could take the name of one that is there.
type children struct {
	job string
	gen int

	mu   sync.Mutex
	seen map[string]int
}

type childrenKey struct{}

// withChildren returns the context of a run of the handler.
func (x *execution) withChildren(ctx context.Context) context.Context {
	return context.WithValue(ctx, childrenKey{}, &children{job: x.id, gen: x.gen})
}

// childrenOf returns the names of the run that ctx belongs to, or nil.
func childrenOf(ctx context.Context) *children {
	c, _ := ctx.Value(childrenKey{}).(*children)
	return c
}

// id names the next child of that kind with those arguments.
func (c *children) id(kind string, payload []byte) string {
	base := digest(c.job, strconv.Itoa(c.gen), kind, string(payload))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = make(map[string]int, 1)
	}
	c.seen[base]++
	return "h" + digest(base, strconv.Itoa(c.seen[base]))
}
