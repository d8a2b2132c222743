package tasks

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
)

// Names are the keys in which Asynq keeps tasks, as the probe saw them. One that
// it did not see is empty, and what needs it is left out.
type Names struct {
	queues                        string
	prefix                        string
	task, active, lease, archived name
	delayed                       [2]name // what is scheduled, and what is to be retried
}

func (n *Names) missing() bool {
	return n.queues == "" || slices.Contains([]name{n.task, n.active, n.lease, n.archived}, "")
}

// ofQueue tells whether a key belongs to a queue, whichever.
func (n *Names) ofQueue(key string) bool { return n.prefix != "" && strings.HasPrefix(key, n.prefix) }

// Pending returns the list of a queue's pending tasks, under the name that the
// Asynq has for it which Known.Enqueue stands for.
func (n *Names) Pending(queue string) string { return n.prefix + queue + "}:pending" }

// Delayed returns the keys of a queue's tasks that are scheduled and that are to
// be retried.
func (n *Names) Delayed(queue string) (scheduled, retry string) {
	return n.delayed[0].of(queue), n.delayed[1].of(queue)
}

// QueueOf returns the queue of a list that Pending returned.
func (n *Names) QueueOf(pending string) string {
	queue, _, _ := strings.Cut(strings.TrimPrefix(pending, n.prefix), "}")
	return queue
}

// Archive returns the key of a queue's archived tasks, or "".
func (n *Names) Archive(queue string) string { return n.archived.of(queue) }

// name is a key with the probe's queue in it.
type name string

func pattern(key string) name {
	if !strings.Contains(key, probeQueue) {
		return ""
	}
	return name(key)
}

func (n name) of(queue string) string { return strings.Replace(string(n), probeQueue, queue, 1) }

// prefixOf returns what the keys of all queues begin with.
func prefixOf(calls []call) string {
	for _, c := range calls {
		for _, k := range c.keys {
			if before, _, ok := strings.Cut(k, probeQueue); ok {
				return before
			}
		}
	}
	return ""
}

// keyWith returns the key of the one call whose last part is called so, or the
// one at its place in a script that is known.
func keyWith(calls []call, place int, part string) string {
	if len(calls) != 1 {
		return ""
	}
	for _, k := range calls[0].keys {
		if strings.HasSuffix(k, ":"+part) {
			return k
		}
	}
	if place < len(calls[0].keys) && calls[0].known() {
		return calls[0].keys[place]
	}
	return ""
}

// argWith does the same for an argument, by its beginning.
func argWith(calls []call, place int, start string) string {
	if len(calls) != 1 {
		return ""
	}
	for _, a := range calls[0].args {
		if s, ok := a.(string); ok && strings.HasPrefix(s, start) {
			return s
		}
	}
	if place < len(calls[0].args) && calls[0].known() {
		s, _ := calls[0].args[place].(string)
		return s
	}
	return ""
}

// Task returns what the keys of a queue's tasks begin with, or "".
func (n *Names) Task(queue string) string { return n.task.of(queue) }

func (c call) known() bool { return c.sha == dequeueSHA || c.sha == archiveSHA }

var errOffline = errors.New("tasks: the probe has no network")

func refuse(context.Context, string, string) (net.Conn, error) { return nil, errOffline }
