package push_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"runtime"
	"strconv"
	"testing"

	"lastmile/push"
	"lastmile/push/mempush"
)

func benchNode(b *testing.B, store push.Transport) *push.Node {
	b.Helper()
	n, err := push.NewNode(store, push.NodeConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return n
}

// BenchmarkPublishToFeed is one push through publisher, store, node and feed,
// acknowledged.
func BenchmarkPublishToFeed(b *testing.B) {
	store, err := mempush.New(mempush.Config{MailboxLen: 100_000, ResumeWindow: 1})
	if err != nil {
		b.Fatal(err)
	}
	p, err := push.NewPublisher(store, push.PublisherConfig{})
	if err != nil {
		b.Fatal(err)
	}
	n := benchNode(b, store)
	feed, err := n.Subscribe(b.Context(), "s", 0)
	if err != nil {
		b.Fatal(err)
	}
	defer feed.Close()
	session := p.Session("s")
	data := json.RawMessage(`{"value":"0123456789"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := session.Trigger(b.Context(), "Act", data); err != nil {
			b.Fatal(err)
		}
		for {
			e, ok := feed.Next()
			if ok {
				feed.Ack(e.Seq, nil)
				break
			}
			<-feed.Ready()
		}
	}
}

// BenchmarkNotify is what the listener pays for one hint: one session of ten
// thousand gets a push.
func BenchmarkNotify(b *testing.B) {
	store := &direct{listening: make(chan struct{})}
	n := benchNode(b, store)
	const sessions = 10_000
	feeds := make([]*push.Feed, sessions)
	for i := range feeds {
		f, err := n.Subscribe(b.Context(), "session-"+strconv.Itoa(i), 0)
		if err != nil {
			b.Fatal(err)
		}
		feeds[i] = f
		defer f.Close()
	}
	seqs := make([]push.Seq, sessions)
	hints := make([]push.Notice, 1)
	entry := push.Entry{Message: push.Message{ID: "id", Action: "Act"}}
	<-store.listening
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i = (i + 1) % sessions
		entry.Prev, entry.Seq = seqs[i], seqs[i]+1
		seqs[i]++
		hints[0] = push.Notice{Session: "session-" + strconv.Itoa(i), Seq: entry.Seq, Prev: entry.Prev, Entry: &entry}
		store.l.Notify(hints)
		if _, ok := feeds[i].Next(); !ok {
			b.Fatal("no entry")
		}
	}
}

// BenchmarkIdleFeed reports what an idle subscription holds.
func BenchmarkIdleFeed(b *testing.B) {
	n := benchNode(b, &direct{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var feeds []*push.Feed
	for b.Loop() {
		f, err := n.Subscribe(b.Context(), push.NewID(), 0)
		if err != nil {
			b.Fatal(err)
		}
		feeds = append(feeds, f)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(feeds)), "B/feed")
	for _, f := range feeds {
		f.Close()
	}
}

func BenchmarkEncode(b *testing.B) {
	m := push.Message{Action: "ReportProgress", Data: json.RawMessage(`{"fraction":0.25,"message":"reading rows"}`), Replaces: "job:7"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := push.EncodeMessage(m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	stored, err := push.EncodeMessage(push.Message{Action: "ReportProgress", Data: json.RawMessage(`{"fraction":0.25,"message":"reading rows"}`), Replaces: "job:7"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := push.DecodeMessage(stored); err != nil {
			b.Fatal(err)
		}
	}
}

// direct is a transport that stores nothing and lets a benchmark hint.
type direct struct {
	push.Transport
	l         push.Listener
	listening chan struct{}
}

func (d *direct) Listen(ctx context.Context, _ string, l push.Listener) error {
	d.l = l
	if d.listening != nil {
		close(d.listening)
	}
	<-ctx.Done()
	return nil
}

func (d *direct) Attach(context.Context, string, string, push.Seq) (push.Attachment, error) {
	return push.Attachment{Epoch: "e"}, nil
}

func (d *direct) Detach(context.Context, string, string) error { return nil }
