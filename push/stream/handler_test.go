package stream_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"lastmile/push/pushtest"
	"lastmile/push/stream"
	"lastmile/push/stream/redisstore"
)

// TestAccess: who may do what.
func TestAccess(t *testing.T) {
	t.Parallel()
	store, stop := runStore(t, pushtest.NewRedis(t).Client(t))
	t.Cleanup(stop)
	for _, k := range []string{"a", "b"} {
		if _, _, err := store.Create(t.Context(), stream.Key{Group: "g", Name: k}, stream.Create{ContentType: "text/plain", Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	refuseAll := func(*http.Request, stream.Access) error { return errors.New("no") }
	unknown := func(*http.Request, stream.Access) error { return fmt.Errorf("who? %w", stream.ErrUnauthenticated) }
	onlyB := func(_ *http.Request, a stream.Access) error {
		if a.Key.Name == "b" || a.Source != nil && a.Source.Name == "b" {
			return errors.New("not b")
		}
		return nil
	}
	for _, tt := range []struct {
		name    string
		cfg     stream.Config
		method  string
		path    string
		headers []string
		want    int
	}{
		{"nothing configured", stream.Config{Authorize: refuseAll}, "GET", "/g/a", nil, 403},
		{"nobody known", stream.Config{Authorize: unknown}, "GET", "/g/a", nil, 401},
		{"reads", stream.Config{Authorize: stream.AllowReads}, "GET", "/g/a", nil, 200},
		{"reads, no writes", stream.Config{Authorize: stream.AllowReads}, "POST", "/g/a", nil, 403},
		{"reads, no new ones", stream.Config{Authorize: stream.AllowReads}, "PUT", "/g/c", nil, 403},
		{"reads, no deletion", stream.Config{Authorize: stream.AllowReads}, "DELETE", "/g/a", nil, 403},
		{"another stream", stream.Config{Authorize: onlyB}, "GET", "/g/b", nil, 403},
		{"a fork of what may not be read", stream.Config{Authorize: onlyB}, "PUT", "/g/d", []string{"Stream-Forked-From", "/g/b"}, 403},
		{"a fork", stream.Config{Authorize: onlyB}, "PUT", "/g/e", []string{"Stream-Forked-From", "/g/a"}, 201},
		{"a fork in another group", stream.Config{}, "PUT", "/h/e", []string{"Stream-Forked-From", "/g/a"}, 400},
		{"read only", stream.Config{ReadOnly: true}, "POST", "/g/a", nil, 405},
		{"read only, reading", stream.Config{ReadOnly: true}, "HEAD", "/g/a", nil, 200},
		{"no method of the protocol", stream.Config{}, "PATCH", "/g/a", nil, 405},
		{"no stream", stream.Config{}, "GET", "/", nil, 404},
		{"a long name", stream.Config{}, "GET", "/g/" + strings.Repeat("x", 600), nil, 404},
		{"a page of another origin writes", stream.Config{}, "POST", "/g/a", []string{"Origin", "https://evil.example"}, 403},
		{"a page of another site writes", stream.Config{}, "POST", "/g/a", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a page of its own writes", stream.Config{}, "POST", "/g/a", []string{"Origin", "http://example.com"}, 204},
		{"an allowed origin writes", stream.Config{AllowedOrigins: []string{"https://a.example"}}, "POST", "/g/a", []string{"Origin", "https://a.example", "Cookie", "s=1"}, 204},
		{"all origins, without cookies", stream.Config{AllowedOrigins: []string{"*"}}, "POST", "/g/a", []string{"Origin", "https://a.example"}, 204},
		{"all origins, with cookies", stream.Config{AllowedOrigins: []string{"*"}}, "POST", "/g/a", []string{"Origin", "https://a.example", "Cookie", "s=1"}, 403},
		{"too much", stream.Config{MaxBodyBytes: 1}, "POST", "/g/a", nil, 413},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := ""
			if tt.method == "POST" {
				body = "xy"
			}
			r := do(t, newHandler(t, store, tt.cfg), tt.method, tt.path, body, tt.headers...)
			if r.status != tt.want || r.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s %s: %d, want %d", tt.method, tt.path, r.status, tt.want)
			}
		})
	}
}

// TestAuthorizeIsNeeded: a Handler without one lets nobody in.
func TestAuthorizeIsNeeded(t *testing.T) {
	t.Parallel()
	store, stop := runStore(t, pushtest.NewRedis(t).Client(t))
	defer stop()
	h, err := stream.New(stream.Deps{Store: store}, stream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE"} {
		if r := do(t, h, method, "/g/n", ""); r.status != 403 {
			t.Errorf("%s: %d, want 403", method, r.status)
		}
	}
}

// TestConfig: what New refuses.
func TestConfig(t *testing.T) {
	t.Parallel()
	store, stop := runStore(t, pushtest.NewRedis(t).Client(t))
	defer stop()
	registry := prometheus.NewRegistry()
	for _, tt := range []struct {
		name string
		deps stream.Deps
		cfg  stream.Config
		ok   bool
	}{
		{"no store", stream.Deps{}, stream.Config{}, false},
		{"negative", stream.Deps{Store: store}, stream.Config{MaxWait: -1}, false},
		{"no origin", stream.Deps{Store: store}, stream.Config{AllowedOrigins: []string{"example.com"}}, false},
		{"good", stream.Deps{Store: store}, stream.Config{AllowedOrigins: []string{"https://example.com", "*"}, Registerer: registry}, true},
		{"metrics twice", stream.Deps{Store: store}, stream.Config{Registerer: registry}, false},
	} {
		if _, err := stream.New(tt.deps, tt.cfg); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestBehindAPrefix: the Handler is mounted somewhere, and the addresses that it
// gives and takes are whole.
func TestBehindAPrefix(t *testing.T) {
	t.Parallel()
	store, stop := runStore(t, pushtest.NewRedis(t).Client(t))
	defer stop()
	h := http.StripPrefix("/streams", newHandler(t, store, stream.Config{}))
	r := do(t, h, "PUT", "/streams/g/a%20b", "text")
	if got := r.header.Get("Location"); r.status != 201 || got != "http://example.com/streams/g/a%20b" {
		t.Errorf("%d, Location %q", r.status, got)
	}
	r = do(t, h, "PUT", "/streams/g/fork", "", "Stream-Forked-From", "/streams/g/a b")
	if r.status != 201 {
		t.Errorf("fork: %d %s", r.status, r.body)
	}
	if got := do(t, h, "GET", "/streams/g/fork", "").body; got != "text" {
		t.Errorf("the fork holds %q", got)
	}
}

// TestHTMLHasNoRights: a stream that somebody calls HTML is none of this origin.
func TestHTMLHasNoRights(t *testing.T) {
	t.Parallel()
	store, stop := runStore(t, pushtest.NewRedis(t).Client(t))
	defer stop()
	h := newHandler(t, store, stream.Config{})
	if r := do(t, h, "PUT", "/g/n", "<script>", "Content-Type", "text/html"); r.status != 201 {
		t.Errorf("PUT: %d", r.status)
	}
	if r := do(t, h, "GET", "/g/n", ""); r.header.Get("Content-Security-Policy") != "sandbox" || r.header.Get("Content-Type") != "text/html" {
		t.Errorf("GET: %v", r.header)
	}
	if r := do(t, h, "POST", "/g/n", "x", "Stream-Seq", strings.Repeat("9", 600)); r.status != 400 {
		t.Errorf("a long sequence: %d, want 400", r.status)
	}
}

// TestMoved: a reader whose place is no longer there is told to begin again.
func TestMoved(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, store *redisstore.Store) {
		t.Helper()
		h := newHandler(t, store, stream.Config{})
		w := open(t, store, key, stream.WriterConfig{})
		_, _ = w.Write([]byte("old text"))
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		at := do(t, h, "GET", "/g/n", "").header.Get("Stream-Next-Offset")
		polled := make(chan int)
		go func() { polled <- do(t, h, "GET", "/g/n?live=long-poll&offset="+at, "").status }()
		synctest.Wait()
		if err := w.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := <-polled; got != 410 {
			t.Errorf("a poll that waits: %d, want 410", got)
		}
		for _, live := range []string{"", "long-poll", "sse"} {
			if r := do(t, h, "GET", "/g/n?live="+live+"&offset="+at, ""); r.status != 410 {
				t.Errorf("live=%s: %d, want 410", live, r.status)
			}
		}
		_, _ = w.Write([]byte("new"))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r := do(t, h, "GET", "/g/n?offset=-1", "")
		if next := r.header.Get("Stream-Next-Offset"); r.body != "new" || next <= at || r.header.Get("Stream-Closed") != "true" {
			t.Errorf("from the start: next offset %s, before %s", next, at)
		}
	})
}

// TestEventsAreExact: what a reader of events makes of them is what was written.
// Carriage returns alone become line feeds: the format has no other way.
func TestEventsAreExact(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, contentType string
		parts             []string
		want              []string // data of the events
	}{
		{"spaces", "text/plain", []string{"a", " b", "  c\n d"}, []string{"a", " b", "  c\n d"}},
		{"runes that are cut", "text/plain", []string{"a\xe2", "\x82", "\xacb", "\xf0\x9f", "\x98\x80"}, []string{"a", "€b", "😀"}},
		{"no runes", "text/plain", []string{"\xff\xfe", "x"}, []string{"\xff\xfe", "x"}},
		{"ends within a rune", "text/plain", []string{"a", "\xe2\x82"}, []string{"a", "\xe2\x82"}},
		{"line ends", "text/plain", []string{"a\n", "\nb\r\nc\rd"}, []string{"a\n", "\nb\nc\nd"}},
		{"bytes", "application/octet-stream", []string{"\x00\x01", "\r"}, []string{"AAE=", "DQ=="}},
		{"items", "application/json", []string{`{"a":1},`, `2,"x",`}, []string{`[{"a":1}]`, `[2,"x"]`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, store *redisstore.Store) {
				t.Helper()
				if _, _, err := store.Create(t.Context(), key, stream.Create{ContentType: tt.contentType}); err != nil {
					t.Fatal(err)
				}
				got := make(chan []string)
				go func() {
					var data []string
					for e := range parse(strings.NewReader(do(t, newHandler(t, store, stream.Config{}), "GET", "/g/n?live=sse&offset=-1", "").body)) {
						if e.data != "" {
							data = append(data, e.data)
						}
					}
					got <- data
				}()
				for i, part := range tt.parts {
					synctest.Wait()
					last := i == len(tt.parts)-1
					if _, err := store.Append(t.Context(), key, stream.Append{Data: []byte(part), Close: last}); err != nil {
						t.Fatal(err)
					}
				}
				if diff := cmp.Diff(tt.want, <-got); diff != "" {
					t.Errorf("data of the events:\n%s", diff)
				}
			})
		})
	}
}

// TestWaits: how long readers are kept, and that they leave when asked to.
func TestWaits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, live string
		stop       bool // while it waits
		status     int
		took       time.Duration
	}{
		{"a poll", "long-poll", false, 204, 20 * time.Second},
		{"events", "sse", false, 200, time.Minute},
		{"a poll, stopped", "long-poll", true, 204, time.Second},
		{"events, stopped", "sse", true, 200, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, store *redisstore.Store) {
				t.Helper()
				if _, _, err := store.Create(t.Context(), key, stream.Create{}); err != nil {
					t.Fatal(err)
				}
				h := newHandler(t, store, stream.Config{})
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- h.Run(ctx) }()
				if tt.stop {
					time.AfterFunc(time.Second, stop)
				}
				started := time.Now()
				r := do(t, h, "GET", "/g/n?offset=-1&live="+tt.live, "")
				if took := time.Since(started); r.status != tt.status || took != tt.took {
					t.Errorf("%d after %s, want %d after %s", r.status, took, tt.status, tt.took)
				}
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if r := do(t, h, "GET", "/g/n?offset=-1&live="+tt.live, ""); r.status != 503 || r.header.Get("Retry-After") == "" {
					t.Errorf("after the end: %d, want 503", r.status)
				}
				if err := h.Run(t.Context()); err == nil {
					t.Error("a second Run succeeded")
				}
			})
		})
	}
}

// TestFull: readers are bounded, and so is the time in which one has to read.
func TestFull(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, store *redisstore.Store) {
		t.Helper()
		if _, _, err := store.Create(t.Context(), key, stream.Create{}); err != nil {
			t.Fatal(err)
		}
		h := newHandler(t, store, stream.Config{MaxReaders: 1})
		first := make(chan int)
		go func() { first <- do(t, h, "GET", "/g/n?offset=-1&live=long-poll", "").status }()
		synctest.Wait()
		if r := do(t, h, "GET", "/g/n?offset=-1&live=sse", ""); r.status != 503 || r.header.Get("Retry-After") == "" {
			t.Errorf("the second reader: %d, want 503", r.status)
		}
		if got := <-first; got != 204 {
			t.Errorf("the first reader: %d", got)
		}
	})
}

// TestStoreAway: a store that does not answer is no stream that is not there.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	redis := pushtest.NewRedis(t)
	store, stop := runStore(t, redis.Client(t))
	defer stop()
	redis.Server.SetError("LOADING")
	defer redis.Server.SetError("")
	for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE"} {
		body := ""
		if method == "POST" {
			body = "x"
		}
		if r := do(t, newHandler(t, store, stream.Config{}), method, "/g/n", body); r.status != 503 || r.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d, want 503", method, r.status)
		}
	}
}

// TestSlowReader: who takes nothing off the wire is cut.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	store, stop := runStore(t, pushtest.NewRedis(t).Client(t))
	defer stop()
	if _, _, err := store.Create(t.Context(), key, stream.Create{ContentType: "text/plain", Data: []byte(strings.Repeat("x", 8<<20))}); err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, store, stream.Config{WriteTimeout: 50 * time.Millisecond, MaxReadBytes: 8 << 20})
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		close(done)
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := request(ctx, server.URL+"/g/n?live=sse&offset=-1")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("the reader was not cut")
	}
}
