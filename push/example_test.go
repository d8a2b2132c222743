package push_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lastmile/push"
	"lastmile/push/mempush"
)

func Example() {
	store, err := mempush.New(mempush.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	publisher, err := push.NewPublisher(store, push.PublisherConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	node, err := push.NewNode(store, push.NodeConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error)
	go func() { done <- node.Run(ctx) }()

	// Any process that holds a publisher can do this; nobody is at home yet.
	id := push.NewID()
	if err := publisher.Session(id).TriggerAction("DataLoaded", map[string]any{"value": 42}); err != nil {
		fmt.Println(err)
		return
	}

	// A connection of the session comes to this node.
	feed, err := node.Subscribe(ctx, id, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	<-feed.Ready()
	for !feed.CaughtUp() {
		entry, ok := feed.Next()
		if !ok {
			<-feed.Ready()
			continue
		}
		fmt.Printf("%s %s\n", entry.Action, entry.Data)
		feed.Ack(entry.Seq, nil)
	}
	feed.Close()
	stop()
	fmt.Println(<-done)
	// Output:
	// DataLoaded {"value":42}
	// <nil>
}

// Repeating a call with the same ID is safe, in whichever process.
func ExampleWithID() {
	store, _ := mempush.New(mempush.Config{})
	publisher, err := push.NewPublisher(store, push.PublisherConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	session := publisher.Session(push.NewID())
	for range 2 {
		receipt, err := session.Trigger(context.Background(), "InvoicePaid", map[string]any{"invoice": 7}, push.WithID("invoice:7:paid"))
		fmt.Println(receipt.ID, receipt.Duplicate, err)
	}
	// Output:
	// invoice:7:paid false <nil>
	// invoice:7:paid true <nil>
}

// Progress is latest-wins: one push of the key waits at most.
func ExampleReplacing() {
	store, _ := mempush.New(mempush.Config{})
	publisher, err := push.NewPublisher(store, push.PublisherConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	session := publisher.Session(push.NewID())
	for percent := 10; percent < 100; percent += 10 {
		if _, err := session.Trigger(ctx, "Progress", map[string]any{"percent": percent}, push.Replacing("job:7")); err != nil {
			fmt.Println(err)
		}
	}
	if _, err := session.Trigger(ctx, "Done", nil, push.Ending("job:7")); err != nil {
		fmt.Println(err)
	}
	backlog, err := store.Pending(ctx, session.ID(), 0)
	for _, entry := range backlog.Entries {
		fmt.Println(entry.Action)
	}
	fmt.Println(err)
	// Output:
	// Done
	// <nil>
}

func ExampleNode_Pending() {
	store, _ := mempush.New(mempush.Config{})
	publisher, err := push.NewPublisher(store, push.PublisherConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	node, err := push.NewNode(store, push.NodeConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	session := publisher.Session(push.NewID())
	_ = session.TriggerAction("ReportDone", nil)
	_ = session.TriggerAction("MailArrived", nil)

	// A page that knows only ReportDone mounts, and is shown.
	backlog, err := node.Pending(ctx, session.ID(), 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	ack := push.Ack{UpTo: backlog.Cursor}
	for _, entry := range backlog.Entries {
		if entry.Action != "ReportDone" {
			ack.Skipped = append(ack.Skipped, entry.Seq)
		}
	}
	if err := node.Ack(ctx, session.ID(), ack); err != nil {
		fmt.Println(err)
		return
	}

	// The other push waits for a page that has its action.
	backlog, err = node.Pending(ctx, session.ID(), 0)
	for _, entry := range backlog.Entries {
		fmt.Println(entry.Action)
	}
	fmt.Println(err)
	// Output:
	// MailArrived
	// <nil>
}

func ExamplePublisher_Publish() {
	store, _ := mempush.New(mempush.Config{MailboxLen: 1})
	publisher, err := push.NewPublisher(store, push.PublisherConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range []push.Message{
		{Session: "s", Action: "lowercase"},
		{Session: "s", Action: "Refresh"},
		{Session: "s", Action: "Refresh"},
	} {
		_, err := publisher.Publish(context.Background(), m)
		fmt.Println(errors.Is(err, push.ErrInvalid), errors.Is(err, push.ErrMailboxFull))
	}
	// Output:
	// true false
	// false false
	// false true
}

// A process without pages tells those that follow a topic, on any node.
func ExamplePublisher_PublishTopic() {
	store, _ := mempush.New(mempush.Config{}) // of Redis: push.PublisherConfig{Broker: transport.Topics()}
	publisher, err := push.NewPublisher(store, push.PublisherConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	stop, err := store.Follow(context.Background(), "stock", func(payload []byte) { fmt.Println(string(payload)) })
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	fmt.Println(publisher.PublishTopic(context.Background(), "stock", "Changed", map[string]int{"item": 7}))
	// Output:
	// {"a":"Changed","d":{"item":7}}
	// <nil>
}

// A program that has a Broker and no Publisher makes the message itself.
func ExampleNewTopicMessage() {
	m, err := push.NewTopicMessage("Changed", map[string]int{"item": 7})
	fmt.Println(m.Action, string(m.Data), err)
	fmt.Println(errors.Is(push.ValidTopic("two\nlines"), push.ErrInvalid))
	// Output:
	// Changed {"item":7} <nil>
	// true
}

func ExampleBackoff() {
	for attempt := range 8 {
		d := push.Backoff(attempt, 50*time.Millisecond, 5*time.Second)
		if d > 5*time.Second {
			fmt.Println("too long")
		}
	}
	fmt.Println("ok")
	// Output: ok
}

func ExampleRedact() {
	fmt.Println(push.Redact("JBSWY3DPEHPK3PXPJBSWY3DPEH"))
	// Output: JBSWY3…
}

// A store raises a view's version with each change, and a connection's fence with
// each take-over.
func ExampleRaise() {
	record := push.ViewRecord{Version: 7}
	record.Version = push.Raise(record.Version)
	fmt.Println(record.Version > 7)
	// Output: true
}
