package tasks

import (
	"slices"
	"strconv"
	"time"
)

// Asynq cuts the time when a task is due to whole seconds. It reads fractions
// well, and the sweep knows them, so a call that names the second is given the
// millisecond.

// Exactly returns the arguments of a script call of Asynq's that puts a task off
// until due, with the millisecond in place of the second that Asynq was told or
// has cut due to. Other calls stay as they are.
func (n *Names) Exactly(queue string, keys []string, args []any, second int64, due time.Time) []any {
	scheduled, retry := n.Delayed(queue)
	if !slices.ContainsFunc(keys, func(k string) bool { return k != "" && (k == scheduled || k == retry) }) {
		return args
	}
	i := slices.Index(args, any(second))
	if i < 0 {
		return args
	}
	args = slices.Clone(args)
	ms := due.Add(time.Millisecond - time.Nanosecond).UnixMilli() // not before
	args[i] = strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64)
	return args
}
