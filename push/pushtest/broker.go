package pushtest

import (
	"strconv"
	"sync"

	"lastmile/push"
)

func brokerCases() []testCase {
	return []testCase{
		{"Broker/reaches followers", brokerReaches},
		{"Broker/stop", brokerStops},
	}
}

// box gathers a topic's messages.
type box struct {
	mu  sync.Mutex
	got []string
}

func (b *box) put(payload []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, string(payload))
}

func (b *box) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.got...)
}

func (e *env) follow(topic string) (b *box, stop func()) {
	e.t.Helper()
	b = &box{}
	stop, err := e.Broker.Follow(e.ctx(), topic, b.put)
	e.must(err)
	stop = sync.OnceFunc(stop)
	e.t.Cleanup(stop)
	return b, stop
}

func brokerReaches(e *env) {
	topic := "topic:" + push.NewID()
	first, _ := e.follow(topic)
	second, _ := e.follow(topic)
	other, _ := e.follow(topic + "*")
	want := []string{"\x00\xff{}", ""}
	for i := range 10 {
		want = append(want, strconv.Itoa(i))
	}
	for _, payload := range want {
		e.must(e.Broker.Publish(e.ctx(), topic, []byte(payload)))
	}
	e.eventually("all messages are there", func() bool { return len(first.all()) >= len(want) && len(second.all()) >= len(want) })
	e.same("messages", first.all(), want)
	e.same("messages of the second follower", second.all(), want)
	e.must(e.Broker.Publish(e.ctx(), topic+"*", []byte("theirs")))
	e.eventually("the other topic's message is there", func() bool { return len(other.all()) > 0 })
	e.same("messages of the other topic", other.all(), []string{"theirs"})
	e.same("messages", first.all(), want)
	e.must(e.Broker.Publish(e.ctx(), "nobody:"+topic, []byte("x")))
}

func brokerStops(e *env) {
	topic := "topic:" + push.NewID()
	stays, _ := e.follow(topic)
	leaves, stop := e.follow(topic)
	e.must(e.Broker.Publish(e.ctx(), topic, []byte("1")))
	e.eventually("both have the first message", func() bool { return len(stays.all()) == 1 && len(leaves.all()) == 1 })
	stop()
	e.must(e.Broker.Publish(e.ctx(), topic, []byte("2")))
	e.eventually("the one that stays has the second", func() bool { return len(stays.all()) == 2 })
	e.same("messages of the one that left", leaves.all(), []string{"1"})
	again, _ := e.follow(topic)
	e.must(e.Broker.Publish(e.ctx(), topic, []byte("3")))
	e.eventually("a new follower hears", func() bool { return len(again.all()) == 1 })
}
