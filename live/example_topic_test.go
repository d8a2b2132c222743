package live_test

import (
	"fmt"

	"lastmile/internal/exampletest"
	"lastmile/live"
	"lastmile/live/livetest"
)

// Chat is the state of a chat room's page.
type Chat struct{ Last string }

// ChatPage has the page's actions.
type ChatPage struct{}

// Mount subscribes every page to the room's topic.
func (ChatPage) Mount(s Chat, ctx *live.Context) (Chat, error) {
	return s, ctx.Subscribe("room")
}

// Say is called by the visitor. The other pages of the topic run Heard.
func (ChatPage) Say(s Chat, ctx *live.Context) (Chat, error) {
	s.Last = "I said " + ctx.GetString("text")
	return s, ctx.Publish("room", "Heard", map[string]any{"text": ctx.GetString("text")})
}

// Heard is called by the topic.
func (ChatPage) Heard(s Chat, ctx *live.Context) (Chat, error) {
	s.Last = "heard " + ctx.GetString("text")
	return s, nil
}

// Pages on any node speak to each other over topics that Config.Topics allows.
func ExampleContext_Publish() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	hub := exampleHub(t, live.Config{Topics: func(live.Identity, string) error { return nil }})
	view := exampleView(t, hub, ChatPage{}, Chat{}, `<p>{{.Last}}</p>`, live.ViewConfig{PushOnly: []string{"Heard"}})

	ann, bob := livetest.Open(t, view, "/room"), livetest.Open(t, view, "/room")
	ann.Click("Say", map[string]any{"text": "hello"})
	bob.WaitText("hello")
	fmt.Println(ann.Text())
	fmt.Println(bob.Text())

	// The program itself may publish as well.
	if err := hub.Publish(t.Context(), "room", "Heard", map[string]any{"text": "the house"}); err != nil {
		fmt.Println(err)
	}
	ann.WaitText("the house")
	fmt.Println(ann.Text())
	// Output:
	// I said hello
	// heard hello
	// heard the house
}
