package jobs

import (
	"cmp"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/redistest"
)

// TestFindBothWays asks a shard for random parts of what it has, by the groups of
// the index and by the time ended, and compares both with what is meant.
func TestFindBothWays(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t, redistest.Config{}).Client(t)
	c, err := NewClient(rdb, nobody{}, ClientConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	const seed = 1
	rnd := rand.New(rand.NewPCG(seed, seed))
	at := func(i int) time.Time { return time.UnixMilli(1_700_000_000_000 + int64(i)) }
	var all []indexedJob
	err = filled(t.Context(), rdb, 600, func(pipe redis.Pipeliner, i int) {
		j := indexedJob{made: at(rnd.IntN(200))}
		if j.state = allStates()[rnd.IntN(len(allStates()))]; j.state.Ended() {
			j.ended = j.made.Add(time.Duration(rnd.IntN(200)) * time.Millisecond)
		}
		j.kind, j.queue = fmt.Sprint("k", rnd.IntN(3)), fmt.Sprint("q", rnd.IntN(3))
		j.entry = entry(j.state, j.kind, j.queue, j.made, j.ended, fmt.Sprint("id", i))
		all = append(all, j)
		pipe.ZAdd(t.Context(), c.listing(0), redis.Z{Member: j.entry})
		if !j.ended.IsZero() {
			pipe.ZAdd(t.Context(), c.ends(0), redis.Z{Member: j.entry, Score: float64(j.ended.UnixMilli())})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b indexedJob) int { return cmp.Compare(b.place(), a.place()) })
	some := func(n int) time.Time {
		if rnd.IntN(2) == 0 {
			return time.Time{}
		}
		return at(rnd.IntN(n))
	}
	for range 300 {
		q := Query{Kind: []string{"", "k1"}[rnd.IntN(2)], Queue: []string{"", "q2"}[rnd.IntN(2)]}
		q.CreatedSince, q.CreatedBefore, q.EndedSince, q.EndedBefore = some(200), some(200), some(400), some(400)
		if rnd.IntN(2) == 0 {
			q.States = []State{allStates()[rnd.IntN(len(allStates()))], StateCompleted}
		}
		if err := q.check(); err != nil {
			t.Fatal(err)
		}
		place := ""
		if rnd.IntN(3) == 0 {
			place = all[rnd.IntN(len(all))].place()
		}
		most := 1 + rnd.IntN(40)
		var want []string
		for _, j := range all {
			if i := (Info{State: j.state, Kind: j.kind, Queue: j.queue, Created: j.made, Ended: j.ended}); len(want) < most &&
				(place == "" || j.place() < place) && q.matches(&i) {
				want = append(want, j.entry)
			}
		}
		for _, few := range []int{-1, endedFew} {
			replies, err := index{c}.c.askShards(t.Context(), "find", findArgs(q, place, most, few))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := replies[0].StringSlice(); err != nil || !slices.Equal(got, want) {
				t.Fatalf("seed %d, %+v behind %q, few %d:\n%q, %v, want\n%q", seed, q, place, few, got, err, want)
			}
		}
	}
}

type indexedJob struct {
	state       State
	kind, queue string
	made, ended time.Time
	entry       string
}

// place is where the job is in the order of pages.
func (j indexedJob) place() string {
	l, err := parseEntry(j.entry)
	if err != nil {
		panic(err)
	}
	return l.place
}
