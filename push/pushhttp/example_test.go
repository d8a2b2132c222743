package pushhttp_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"lastmile/internal/exampletest"
	"lastmile/push"
	"lastmile/push/mempush"
	"lastmile/push/pushhttp"
)

// A plain page's EventSource gets what any process publishes.
func Example() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	store, err := mempush.New(mempush.Config{}) // in a program: redisstream.New
	if err != nil {
		t.Fatal(err)
	}
	node, err := push.NewNode(store, push.NodeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := push.NewPublisher(store, push.PublisherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("at least 32 bytes, the same on all nodes")
	handler, err := pushhttp.New(pushhttp.Deps{Node: node}, pushhttp.Config{Secrets: [][]byte{secret}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/push/", handler)
	mux.HandleFunc("POST /work", func(w http.ResponseWriter, r *http.Request) {
		session, err := handler.Session(w, r) // goes along with a job, into another process
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		err = publisher.Session(session).TriggerAction("Done", map[string]any{"file": "report.pdf"})
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	work, err := http.Post(server.URL+"/work", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = work.Body.Close() // it has none
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/push/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.AddCookie(work.Cookies()[0])
	events, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	lines := bufio.NewScanner(events.Body)
	for lines.Scan() {
		if text := lines.Text(); strings.HasPrefix(text, "event:") || strings.HasPrefix(text, "data:") {
			fmt.Println(text)
		}
		if strings.HasPrefix(lines.Text(), "data:") {
			break
		}
	}
	// Output:
	// event: Done
	// data: {"file":"report.pdf"}
}

// A mobile app reads with a token that the application makes for one session.
func ExampleHandler_Token() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	store, err := mempush.New(mempush.Config{}) // in a program: redisstream.New
	if err != nil {
		t.Fatal(err)
	}
	node, err := push.NewNode(store, push.NodeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := pushhttp.New(pushhttp.Deps{Node: node}, pushhttp.Config{Secrets: [][]byte{[]byte("at least 32 bytes, the same on all nodes")}})
	if err != nil {
		t.Fatal(err)
	}
	session := push.NewID() // kept with the app's login
	token, err := handler.Token(session, 10*time.Minute, "OrderShipped")
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/push/events?wait=0", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Code, strings.HasPrefix(w.Body.String(), `{"events":[],"next":"`))
	// Output: 200 true
}
