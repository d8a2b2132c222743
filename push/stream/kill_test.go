package stream_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"lastmile/internal/redistest"
	"lastmile/push/stream"
	"lastmile/push/stream/redisstore"
)

// story is what a writer says: the same each time, in tokens.
func story(n int) []string {
	r := rand.New(rand.NewPCG(7, 7))
	words := []string{"one", " two", "\n", " drei€", "  vier", "\tfünf", ".", " 六"}
	all := make([]string, n)
	for i := range all {
		all[i] = words[r.IntN(len(words))]
	}
	return all
}

// tell writes the story from the top as a handler does that knows nothing of an
// earlier run, up to a token.
func tell(ctx context.Context, store stream.Store, tokens []string, upTo int) error {
	w, err := stream.Open(ctx, store, key, stream.WriterConfig{})
	if err != nil {
		return err
	}
	for i, token := range tokens[:upTo] {
		if _, err := io.WriteString(w, token); err != nil {
			return err
		}
		if i%20 == 0 && w.Offset().Pos > 0 {
			select { // as a model that thinks
			case <-time.After(2 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	if upTo < len(tokens) {
		return nil // it dies without a word
	}
	return w.CloseContext(ctx)
}

// TestKills: ten thousand tokens; the writer is killed twice, the store four
// times, each reader again and again. Every reader has the same bytes in the end.
func TestKills(t *testing.T) {
	t.Parallel()
	tokens := story(10_000)
	want := strings.Join(tokens, "")
	redis := redistest.Start(t, redistest.Config{AOF: "always"})
	store, stop := runStore(t, redis.Client(t))
	defer stop()
	server := httptest.NewServer(newHandler(t, store, stream.Config{MaxWait: time.Second}))
	defer server.Close()

	var wg sync.WaitGroup
	readers := map[string]func(t *testing.T, store stream.Store, url string) (string, int){
		"Follow": byFollow, "long poll": byPoll, "events": byEvents,
	}
	for name, read := range readers {
		for range 2 {
			wg.Go(func() {
				got, came := read(t, store, server.URL+"/g/n")
				if got != want {
					t.Errorf("%s: %d bytes, want %d", name, len(got), len(want))
				}
				t.Logf("%s came %d times", name, came)
			})
		}
	}
	kills := make(chan struct{})
	go func() {
		defer close(kills)
		for range 4 {
			select {
			case <-time.After(250 * time.Millisecond):
			case <-t.Context().Done():
				return
			}
			redis.Kill()
			redis.Restart()
		}
	}()
	for _, upTo := range []int{4000, 7000, len(tokens)} {
		if err := tell(t.Context(), store, tokens, upTo); err != nil {
			t.Fatalf("writer: %v", err)
		}
	}
	<-kills
	wg.Wait()
	late := redisstoreOf(t, redis)
	if got, _ := byFollow(t, late, ""); got != want {
		t.Errorf("a reader in another process: %d bytes, want %d", len(got), len(want))
	}
}

func redisstoreOf(t *testing.T, s *redistest.Server) stream.Store {
	t.Helper()
	store, err := redisstore.New(s.Client(t), redisstore.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// again says whether a reader should come back: the stream may not be there yet,
// or the store away.
func again(t *testing.T) bool {
	t.Helper()
	select {
	case <-time.After(10 * time.Millisecond):
		return true
	case <-t.Context().Done():
		return false
	}
}

// byFollow reads some chunks, dies, and another one goes on from the offset.
func byFollow(t *testing.T, store stream.Store, _ string) (string, int) {
	t.Helper()
	var b strings.Builder
	at := stream.Start
	for came := 1; ; came++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(20+rand.IntN(200))*time.Millisecond)
		for c, err := range stream.Follow(ctx, store, key, at) {
			if err != nil {
				if !errors.Is(err, stream.ErrNotFound) && ctx.Err() == nil {
					t.Errorf("Follow: %v", err)
				}
				break
			}
			b.Write(c.Data)
			if at = c.To; c.Ended {
				cancel()
				return b.String(), came
			}
		}
		cancel()
		if !again(t) {
			return b.String(), came
		}
	}
}

// byPoll reads by long polls, whose connections break now and then.
func byPoll(t *testing.T, _ stream.Store, url string) (string, int) {
	t.Helper()
	var b strings.Builder
	at := "-1"
	for came := 1; ; came++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(5+rand.IntN(500))*time.Millisecond)
		r, err := request(ctx, url+"?live=long-poll&offset="+at)
		if err == nil {
			data, failed := io.ReadAll(r.Body)
			_ = r.Body.Close()
			if failed == nil && r.StatusCode == http.StatusOK {
				b.Write(data)
			}
			if failed == nil && r.StatusCode < 300 {
				at = r.Header.Get("Stream-Next-Offset")
			}
			if failed == nil && r.Header.Get("Stream-Closed") != "" {
				cancel()
				return b.String(), came
			}
		}
		cancel()
		if (err != nil || r.StatusCode >= 300) && !again(t) {
			return b.String(), came
		}
	}
}

func request(ctx context.Context, url string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(r)
}

// byEvents reads server-sent events, and keeps of a broken answer what a control
// event has confirmed.
func byEvents(t *testing.T, _ stream.Store, url string) (string, int) {
	t.Helper()
	var b strings.Builder
	at := "-1"
	for came := 1; ; came++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(20+rand.IntN(300))*time.Millisecond)
		ended := false
		if r, err := request(ctx, url+"?live=sse&offset="+at); err == nil {
			if r.StatusCode == http.StatusOK {
				for e := range parse(r.Body) {
					if e.name == "control" {
						b.WriteString(e.data)
						at, ended = e.next, e.closed
					}
				}
			}
			_ = r.Body.Close()
		}
		cancel()
		if ended || !again(t) {
			return b.String(), came
		}
	}
}

// sent is a control event with the data in front of it.
type sent struct {
	name, data, next string
	closed           bool
}

// parse reads events as browsers do.
func parse(body io.Reader) func(yield func(sent) bool) {
	return func(yield func(sent) bool) {
		var data string
		var e sent
		var lines []string
		for s := bufio.NewScanner(body); s.Scan(); {
			switch name, value, _ := strings.Cut(s.Text(), ":"); {
			case name == "event":
				e.name = strings.TrimPrefix(value, " ")
			case name == "data":
				lines = append(lines, strings.TrimPrefix(value, " "))
			case s.Text() == "" && e.name == "data":
				data, lines = strings.Join(lines, "\n"), nil
			case s.Text() == "":
				var c struct {
					Next   string `json:"streamNextOffset"`
					Closed bool   `json:"streamClosed"`
				}
				if err := json.Unmarshal([]byte(strings.Join(lines, "\n")), &c); err != nil {
					panic(fmt.Sprintf("control event: %v", err))
				}
				if !yield(sent{name: e.name, data: data, next: c.Next, closed: c.Closed}) {
					return
				}
				data, lines = "", nil
			}
		}
	}
}
