package stream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"lastmile/devredis"
	"lastmile/push/stream"
	"lastmile/push/stream/redisstore"
)

// demo returns a store that runs on a Redis in this process; production has
// redis.NewUniversalClient in its place.
func demo() (store *redisstore.Store, closeAll func()) {
	client, closeClient, err := devredis.Open()
	if err != nil {
		panic(err)
	}
	store, err = redisstore.New(client, redisstore.Config{})
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = store.Run(ctx) })
	return store, func() {
		stop()
		wg.Wait()
		closeClient()
	}
}

// A reader sees all of a text, however far it has got when the reader comes.
func Example() {
	store, closeAll := demo()
	defer closeAll()
	ctx, key := context.Background(), stream.Key{Group: "chat", Name: "answer"}

	w, err := stream.Open(ctx, store, key, stream.WriterConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprint(w, "Once upon ")
	go func() {
		fmt.Fprint(w, "a time.")
		_ = w.Close()
	}()

	var text strings.Builder
	for chunk, err := range stream.Follow(ctx, store, key, stream.Start) {
		if err != nil {
			fmt.Println(err)
			return
		}
		text.Write(chunk.Data)
	}
	fmt.Println(text.String())
	// Output: Once upon a time.
}

// A handler that runs again from the top writes the same again: what is stored
// is compared, and not stored twice.
func ExampleOpen() {
	store, closeAll := demo()
	defer closeAll()
	ctx, key := context.Background(), stream.Key{Group: "job 7", Name: "log"}
	run := func(upTo int) error {
		w, err := stream.Open(ctx, store, key, stream.WriterConfig{})
		if err != nil {
			return err
		}
		for i := range upTo {
			fmt.Fprintf(w, "step %d\n", i+1)
		}
		if upTo < 3 {
			return errors.Join(w.Flush(ctx), errors.New("killed"))
		}
		return w.Close()
	}
	fmt.Println(run(2))
	fmt.Println(run(3))
	page, err := store.Read(ctx, key, stream.Start, 1000, false)
	fmt.Printf("%s%v", page.Data, err)
	// Output:
	// killed
	// <nil>
	// step 1
	// step 2
	// step 3
	// <nil>
}

// Items are appended one by one, and readers over HTTP get arrays of them.
func ExampleWriter_Append() {
	store, closeAll := demo()
	defer closeAll()
	ctx := context.Background()
	w, err := stream.Open(ctx, store, stream.Key{Group: "import", Name: "rows"}, stream.WriterConfig{ContentType: "application/json"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for n := range 3 {
		if err := w.Append(map[string]int{"row": n}); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(w.Close())

	handler, err := stream.New(stream.Deps{Store: store}, stream.Config{Authorize: stream.AllowReads})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRecorder()
	handler.ServeHTTP(r, httptest.NewRequestWithContext(ctx, http.MethodGet, "/import/rows?offset=-1", nil))
	fmt.Println(r.Body, r.Header().Get("Stream-Closed"))
	// Output:
	// <nil>
	// [{"row":0},{"row":1},{"row":2}] true
}

// The handler speaks the Durable Streams protocol. Who may read and write is the
// program's to say.
func ExampleNew() {
	store, closeAll := demo()
	defer closeAll()
	handler, err := stream.New(stream.Deps{Store: store}, stream.Config{
		Authorize: func(r *http.Request, a stream.Access) error {
			if a.Write && r.Header.Get("Authorization") != "Bearer secret" {
				return stream.ErrUnauthenticated
			}
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(http.StripPrefix("/streams", handler))
	defer server.Close()
	send := func(method, token, body string) {
		r, err := http.NewRequestWithContext(context.Background(), method, server.URL+"/streams/notes/today", strings.NewReader(body))
		if err != nil {
			fmt.Println(err)
			return
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "text/plain")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		fmt.Println(strings.TrimSpace(fmt.Sprintln(method, answer.StatusCode, string(text))))
	}
	send(http.MethodPut, "guess", "")
	send(http.MethodPut, "secret", "")
	send(http.MethodPost, "secret", "milk, ")
	send(http.MethodPost, "secret", "bread")
	send(http.MethodGet, "", "")
	// Output:
	// PUT 401 Unauthorized.
	// PUT 201
	// POST 204
	// POST 204
	// GET 200 milk, bread
}

// A reader keeps its place, and another one goes on from there.
func ExampleNewReader() {
	store, closeAll := demo()
	defer closeAll()
	ctx, key := context.Background(), stream.Key{Group: "g", Name: "n"}
	if _, _, err := store.Create(ctx, key, stream.Create{Data: []byte("one ")}); err != nil {
		fmt.Println(err)
		return
	}
	r := stream.NewReader(store, key, stream.Start)
	first, err := r.Next(ctx)
	fmt.Printf("%s%v, up to %s\n", first.Data, err, r.Offset())
	r.Close()

	if _, err := store.Append(ctx, key, stream.Append{Data: []byte("two"), Close: true}); err != nil {
		fmt.Println(err)
		return
	}
	at, err := stream.ParseOffset("0000000000000000_0000000000000004")
	if err != nil {
		fmt.Println(err)
		return
	}
	r = stream.NewReader(store, key, at)
	defer r.Close()
	second, err := r.Next(ctx)
	fmt.Printf("%s %v %v\n", second.Data, err, r.Ended())
	// Output:
	// one <nil>, up to 0000000000000000_0000000000000004
	// two <nil> true
}

// Errors that stay are told from a store that is away.
func ExampleFinal() {
	store, closeAll := demo()
	key := stream.Key{Group: "g", Name: "none"}
	_, err := store.Read(context.Background(), key, stream.Start, 1, false)
	fmt.Println(errors.Is(err, stream.ErrNotFound), stream.Final(err))
	closeAll()
	_, err = store.Read(context.Background(), key, stream.Start, 1, false)
	fmt.Println(errors.Is(err, stream.ErrNotFound), stream.Final(err))
	fmt.Println(stream.BaseType("Text/Plain; charset=utf-8"))
	// Output:
	// true true
	// false false
	// text/plain
}

// Items are read as what they were written.
func ExampleItems() {
	store, closeAll := demo()
	defer closeAll()
	ctx, key := context.Background(), stream.Key{Group: "import", Name: "rows"}
	type row struct{ Name string }
	w, err := stream.Open(ctx, store, key, stream.WriterConfig{ContentType: "application/json"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(w.Append(row{"Ada"}), w.Append(row{"Bob, {}"}), w.Close())
	for r, err := range stream.Items[row](stream.Follow(ctx, store, key, stream.Start)) {
		fmt.Println(r.Name, err)
	}
	for r, err := range stream.Items[int](stream.Follow(ctx, store, key, stream.Start)) {
		fmt.Println(r, err != nil)
	}
	// Output:
	// <nil> <nil> <nil>
	// Ada <nil>
	// Bob, {} <nil>
	// 0 true
}
