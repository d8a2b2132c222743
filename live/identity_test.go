package live_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
)

// closeIdentity is the documented close code.
const closeIdentity websocket.StatusCode = 4004

// askFunc answers one question: who it is, or why that cannot be said.
type askFunc func(r *http.Request) (live.Identity, error)

func (f askFunc) Identify(r *http.Request) (live.Identity, error) { return f(r) }

// script is an Authenticator that says alice until play, then one line after the
// other, and the last one for ever. Its journal has the cookies since.
type script struct {
	journal
	lines   []askFunc
	playing atomic.Bool
}

func (s *script) Identify(r *http.Request) (live.Identity, error) {
	if !s.playing.Load() {
		return is("alice")(r)
	}
	s.add(r.Header.Get("Cookie"))
	return s.lines[min(len(s.all()), len(s.lines))-1](r)
}

func is(user string) askFunc {
	return func(*http.Request) (live.Identity, error) { return live.Identity{UserID: user}, nil }
}

func failing(err error) askFunc {
	return func(*http.Request) (live.Identity, error) { return live.Identity{}, err }
}

// hangs answers when nobody waits any more.
func hangs(r *http.Request) (live.Identity, error) {
	<-r.Context().Done()
	return live.Identity{}, r.Context().Err()
}

func panics(*http.Request) (live.Identity, error) { panic("in the program's code") }

// TestIdentityIsAskedAgain: the page and its WebSocket are alice's. Then the
// answers follow one another, one an interval at least.
func TestIdentityIsAskedAgain(t *testing.T) {
	t.Parallel()
	gone := errors.New("signed out")
	away := fmt.Errorf("query: %w", live.ErrIdentityUnknown)
	for name, tc := range map[string]struct {
		answers []askFunc
		want    websocket.StatusCode
	}{
		"the same":     {[]askFunc{is("alice"), is("alice"), is("alice")}, 0},
		"another user": {[]askFunc{is("bob")}, closeIdentity},
		"nobody":       {[]askFunc{is("")}, closeIdentity},
		"refused":      {[]askFunc{failing(gone)}, closeIdentity},
		"later":        {[]askFunc{is("alice"), is("alice"), failing(gone)}, closeIdentity},
		"another session": {[]askFunc{func(*http.Request) (live.Identity, error) {
			return live.Identity{UserID: "alice", Session: "sixteen bytes at least"}, nil
		}}, closeIdentity},
		"not known once":          {[]askFunc{failing(away), is("alice")}, 0},
		"not known now and then":  {[]askFunc{failing(away), is("alice"), failing(away), is("alice")}, 0},
		"not known twice":         {[]askFunc{failing(away), failing(away)}, websocket.StatusTryAgainLater},
		"not known, then refused": {[]askFunc{failing(away), failing(gone)}, closeIdentity},
		"no answer once":          {[]askFunc{hangs, is("alice")}, 0},
		"no answer twice":         {[]askFunc{hangs, hangs}, websocket.StatusTryAgainLater},
		"a panic once":            {[]askFunc{panics, is("alice")}, 0},
		"panics":                  {[]askFunc{panics, panics}, websocket.StatusTryAgainLater},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				who := &script{lines: tc.answers}
				n := startNode(t, memStore(t), live.Config{Authenticator: who, IdentifyEvery: time.Minute})
				p := livetest.NewBrowser(t).Open(view(t, n, bank{}, balance{}, `<p>balance of {{.Of}}.</p>`), "/")
				who.playing.Store(true)
				for range tc.answers {
					time.Sleep(time.Minute + 3*time.Second) // the store's patience is part of it
					synctest.Wait()
				}
				if got := p.State().Closed; got != tc.want {
					t.Errorf("closed with %d, want %d", got, tc.want)
				}
				if got := len(who.all()); got < len(tc.answers) {
					t.Errorf("asked %d times in %d intervals", got, len(tc.answers))
				}
				for _, cookie := range who.all() {
					if cookie == "" {
						t.Error("asked without the request's cookies")
					}
				}
			})
		})
	}
}

// TestNobodyIsAskedAgainWithoutAnAuthenticator: an anonymous session cannot
// change.
func TestNobodyIsAskedAgainWithoutAnAuthenticator(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{IdentifyEvery: time.Second})
		p := livetest.NewBrowser(t).Open(view(t, n, bank{}, balance{}, `<p>balance of {{.Of}}.</p>`), "/")
		time.Sleep(time.Minute)
		if got := p.State().Closed; got != 0 {
			t.Errorf("closed with %d", got)
		}
	})
}

// TestIdentityNotKnown: a request is told to come back.
func TestIdentityNotKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		who := askFunc(func(*http.Request) (live.Identity, error) {
			return live.Identity{}, fmt.Errorf("query: %w", live.ErrIdentityUnknown)
		})
		n := startNode(t, memStore(t), live.Config{Authenticator: who})
		d := livetest.NewBrowser(t).Peek(view(t, n, bank{}, balance{}, `<p></p>`), "/")
		if d.Status != http.StatusServiceUnavailable || d.Header.Get("Retry-After") == "" {
			t.Errorf("status %d, Retry-After %q", d.Status, d.Header.Get("Retry-After"))
		}
	})
}

// byCookie is an Authenticator that believes the cookies user and session.
type byCookie struct{}

func (byCookie) Identify(r *http.Request) (live.Identity, error) {
	var who live.Identity
	if c, err := r.Cookie("user"); err == nil {
		who.UserID = c.Value
	}
	if c, err := r.Cookie("session"); err == nil {
		who.Session = c.Value
	}
	return who, nil
}

// as serves h to somebody.
func as(h http.Handler, user, session string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.AddCookie(&http.Cookie{Name: "user", Value: user})
		r.AddCookie(&http.Cookie{Name: "session", Value: session})
		h.ServeHTTP(w, r)
	})
}

const (
	sessionA = "session A of somebody"
	sessionB = "session B of somebody"
)

// TestDisconnect: on two nodes, each with a page of alice in two sessions, and of
// bob in one of them.
func TestDisconnect(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		who  live.Identity
		want string // of the pages alice A, alice B, bob A on each node: x if they end
	}{
		"a user":                {live.Identity{UserID: "alice"}, "xx."},
		"a session":             {live.Identity{Session: sessionA}, "x.x"},
		"a user in a session":   {live.Identity{UserID: "alice", Session: sessionA}, "x.."},
		"somebody else":         {live.Identity{UserID: "carol"}, "..."},
		"a user elsewhere":      {live.Identity{UserID: "bob", Session: sessionB}, "..."},
		"a part of a name":      {live.Identity{UserID: "ali"}, "..."},
		"a session by its user": {live.Identity{Session: "alice"}, "..."},
	} {
		for _, redis := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, redis %v", name, redis), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := memStore(t)
					if redis {
						s = redisStore(t)
					}
					var nodes []*node
					var pages []*livetest.Page
					for range 2 {
						n := startNode(t, s, live.Config{Authenticator: byCookie{}})
						v := view(t, n, bank{}, balance{}, `<p>balance of {{.Of}}.</p>`)
						nodes = append(nodes, n)
						pages = append(pages, livetest.Open(t, as(v, "alice", sessionA), "/"),
							livetest.Open(t, as(v, "alice", sessionB), "/"), livetest.Open(t, as(v, "bob", sessionA), "/"))
					}
					synctest.Wait()
					for range 2 { // the second time there is nothing left to do
						if err := nodes[0].hub.Disconnect(t.Context(), tc.who); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(time.Second)
					synctest.Wait()
					got := ""
					for _, p := range pages {
						switch code := p.State().Closed; code {
						case 0:
							got += "."
						case closeIdentity:
							got += "x"
						default:
							t.Errorf("closed with %d", code)
						}
					}
					if want := tc.want + tc.want; got != want {
						t.Errorf("ended: %s, want %s", got, want)
					}
				})
			})
		}
	}
}

// deafBroker takes no message.
type deafBroker struct{ push.Broker }

func (deafBroker) Publish(context.Context, string, []byte) error { return errAway }

// TestDisconnectHereInAnyCase: this node is reached, whatever the others hear.
func TestDisconnectHereInAnyCase(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		broker func(store) push.Broker
		want   error
	}{
		"no Broker":      {func(store) push.Broker { return nil }, nil},
		"the store away": {func(s store) push.Broker { return deafBroker{s} }, errAway},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := startNodeOn(t, memStore(t), tc.broker, live.Config{Authenticator: byCookie{}})
				p := livetest.Open(t, as(view(t, n, bank{}, balance{}, `<p></p>`), "alice", sessionA), "/")
				if err := n.hub.Disconnect(t.Context(), live.Identity{UserID: "alice"}); !errors.Is(err, tc.want) {
					t.Errorf("Disconnect: %v, want %v", err, tc.want)
				}
				synctest.Wait()
				if got := p.State().Closed; got != closeIdentity {
					t.Errorf("closed with %d", got)
				}
			})
		})
	}
	if err := newHub(t).Disconnect(t.Context(), live.Identity{}); !errors.Is(err, push.ErrInvalid) {
		t.Errorf("Disconnect of nobody: %v, want ErrInvalid", err)
	}
}

// TestConnectionsBeingMadeDoNotSlipThrough: a user signs out, and is disconnected,
// after the Authenticator has answered for a connection that is not listed yet.
func TestConnectionsBeingMadeDoNotSlipThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var hub *live.Hub
		asked := 0
		who := askFunc(func(r *http.Request) (live.Identity, error) {
			if asked++; asked > 2 {
				return live.Identity{}, errors.New("signed out")
			}
			if asked == 2 { // the WebSocket
				if err := hub.Disconnect(r.Context(), live.Identity{UserID: "alice"}); err != nil {
					t.Error(err)
				}
			}
			return live.Identity{UserID: "alice"}, nil
		})
		n := startNode(t, memStore(t), live.Config{Authenticator: who})
		hub = n.hub
		v := view(t, n, bank{}, balance{}, `<p></p>`)
		p := livetest.NewBrowser(t).Load(v, "/")
		synctest.Wait()
		if err := p.TryConnect(v); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := p.State(); s.Closed != closeIdentity || s.Frames > 0 {
			t.Errorf("closed with %d after %d frames, want %d after none", s.Closed, s.Frames, closeIdentity)
		}
	})
}
