package live_test

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"lastmile/live"
	"lastmile/push"
	"lastmile/push/mempush"
)

// State is the page's state.
type State struct{ Value string }

// Controller loads slow data for whoever connects.
type Controller struct{}

func fetchSlowData() string { return "42 rows" }

func (c *Controller) OnConnect(state State, ctx *live.Context) (State, error) {
	session := ctx.Session()
	go func() {
		result := fetchSlowData()
		_ = session.TriggerAction("DataLoaded", map[string]any{"value": result})
	}()
	return state, nil
}

func (c *Controller) DataLoaded(state State, ctx *live.Context) (State, error) {
	state.Value = ctx.GetString("value")
	return state, nil
}

// A page that loads slow data once somebody looks at it.
func Example() {
	store, err := mempush.New(mempush.Config{})
	if err != nil {
		panic(err)
	}
	node, err := push.NewNode(store, push.NodeConfig{})
	if err != nil {
		panic(err)
	}
	publisher, err := push.NewPublisher(store, push.PublisherConfig{})
	if err != nil {
		panic(err)
	}
	hub, err := live.New(live.Deps{Node: node, Publisher: publisher, States: store, Broker: store},
		live.Config{Secret: []byte(strings.Repeat("a secret of all nodes, ", 2))})
	if err != nil {
		panic(err)
	}
	tmpl := template.Must(template.New("page").Parse(`<p>{{with .Value}}Loaded: {{.}}{{else}}Loading{{end}}</p>`))
	view, err := live.NewView(hub, "slow", &Controller{}, State{}, tmpl, live.ViewConfig{})
	if err != nil {
		panic(err)
	}

	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	done := make(chan error, 2)
	go func() { done <- node.Run(ctx) }()
	go func() { done <- hub.Run(ctx) }()
	server := httptest.NewServer(view)
	defer server.Close()

	fmt.Println(browse(ctx, server))

	stop()
	fmt.Println(<-done, <-done)
	// Output:
	// Loaded: 42 rows
	// <nil> <nil>
}

// browse stands for a browser: it loads the page and, until that shows data,
// connects its WebSocket.
func browse(ctx context.Context, server *httptest.Server) string {
	page, cookie := load(ctx, server.URL)
	connection := connect(ctx, server.URL, cookie, page)
	defer connection.CloseNow() //nolint:errcheck // the program ends
	for {
		_, frame, err := connection.Read(ctx)
		if err != nil {
			return err.Error()
		}
		if strings.Contains(string(frame), "42 rows") {
			return "Loaded: 42 rows"
		}
	}
}

// load gets the page and the session's cookie.
func load(ctx context.Context, address string) (page string, cookie *http.Cookie) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		panic(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	for _, c := range res.Cookies() {
		cookie = c
	}
	return readString(res), cookie
}
