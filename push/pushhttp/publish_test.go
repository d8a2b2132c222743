package pushhttp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/push/mempush"
	"lastmile/push/pushhttp"
)

const (
	fullKey    = "key-0123456789-0123456789-0123456789"
	narrowKey  = "key-narrow-0123456789-0123456789-012"
	jsonAccept = "application/json"
)

func publishing() pushhttp.Config {
	return pushhttp.Config{PublishKeys: []pushhttp.PublishKey{{Key: fullKey}, {Key: narrowKey, Actions: []string{"Toast"}}}, PublishBurst: 20}
}

// post posts to publish with a key.
func (s *site) post(key, body string, header ...string) answer {
	s.t.Helper()
	all := map[string]string{"Authorization": "Bearer " + key}
	for i := 0; i < len(header); i += 2 {
		all[header[i]] = header[i+1]
	}
	return s.answer(call{method: http.MethodPost, path: "publish", body: body, header: all})
}

func TestPublish(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 70<<10)
	for _, tt := range []struct {
		name, key, body string
		header          []string
		status          int
		kind            string
	}{
		{name: "one", key: fullKey, body: `{"session":"%s","action":"Did","data":{"n":1}}`, status: 202},
		{name: "no data", key: fullKey, body: `{"session":"%s","action":"Did"}`, status: 202},
		{name: "allowed action", key: narrowKey, body: `{"session":"%s","action":"Toast"}`, status: 202},
		{name: "other action", key: narrowKey, body: `{"session":"%s","action":"Did"}`, status: 403, kind: "action"},
		{name: "no key", key: "", body: `{"session":"%s","action":"Did"}`, status: 401, kind: "key"},
		{name: "wrong key", key: fullKey + "x", body: `{"session":"%s","action":"Did"}`, status: 401, kind: "key"},
		{name: "misspelt field", key: fullKey, body: `{"session":"%s","acton":"Did"}`, status: 400, kind: "body"},
		{name: "no session", key: fullKey, body: `{"action":"Did"}`, status: 400, kind: "invalid"},
		{name: "no action", key: fullKey, body: `{"session":"%s"}`, status: 400, kind: "invalid"},
		{name: "list as data", key: fullKey, body: `{"session":"%s","action":"Did","data":[1]}`, status: 400, kind: "invalid"},
		{name: "final without key", key: fullKey, body: `{"session":"%s","action":"Did","final":true}`, status: 400, kind: "invalid"},
		{name: "no JSON", key: fullKey, body: `session=1`, status: 400, kind: "body"},
		{name: "two values", key: fullKey, body: `{"session":"%s","action":"Did"} {}`, status: 400, kind: "body"},
		{name: "one and a batch", key: fullKey, body: `{"session":"%s","messages":[]}`, status: 400, kind: "body"},
		{name: "form", key: fullKey, body: `{}`, header: []string{"Content-Type", "text/plain"}, status: 415, kind: "body"},
		{name: "large data", key: fullKey, body: `{"session":"%s","action":"Did","data":{"x":"` + big + `"}}`, status: 413, kind: "too-large"},
		{name: "large body", key: fullKey, body: `{"session":"%s","action":"` + strings.Repeat(big, 16) + `"}`, status: 413, kind: "too-large"},
		{name: "large batch", key: fullKey, body: `{"messages":[` + strings.Repeat(`{},`, 100) + `{}]}`, status: 413, kind: "too-large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := inMemory(t, mempush.Config{}, publishing())
				a := s.post(tt.key, strings.ReplaceAll(tt.body, "%s", alice), tt.header...)
				if a.status != tt.status || a.kind() != tt.kind {
					t.Errorf("%d %s, want %d %s", a.status, a.body, tt.status, tt.kind)
				}
				if want := "application/problem+json"; tt.kind != "" && a.header.Get("Content-Type") != want {
					t.Errorf("content type %s", a.header.Get("Content-Type"))
				}
				if stored := s.pending(alice) != ""; stored != (tt.status == http.StatusAccepted) {
					t.Errorf("stored: %v", stored)
				}
			})
		})
	}
}

// TestPublishIsIdempotent: receipts say what became of a push, also when it is
// repeated.
func TestPublishIsIdempotent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, publishing())
		body := fmt.Sprintf(`{"session":%q,"action":"Did","data":{"n":1}}`, alice)
		first, again := s.post(fullKey, body, "Idempotency-Key", "one"), s.post(fullKey, body, "Idempotency-Key", "one")
		var a, b struct {
			ID         string
			Seq        uint64
			Duplicate  bool
			Superseded bool
		}
		if err := json.Unmarshal([]byte(first.body), &a); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(again.body), &b); err != nil {
			t.Fatal(err)
		}
		if a.ID != "one" || a.Duplicate || !b.Duplicate || a.Seq == 0 || a.Seq != b.Seq || s.pending(alice) != "1" {
			t.Errorf("first %+v, again %+v, pending %s", a, b, s.pending(alice))
		}
		for _, m := range []string{`"replaces":"k"`, `"replaces":"k"`, `"replaces":"k","final":true`, `"replaces":"k"`} {
			last := s.post(fullKey, fmt.Sprintf(`{"session":%q,"action":"Did","data":{"n":2},%s}`, alice, m))
			if err := json.Unmarshal([]byte(last.body), &b); err != nil {
				t.Fatal(err)
			}
		}
		if !b.Superseded || s.pending(alice) != "1 2" {
			t.Errorf("behind the final one: %+v, pending %s", b, s.pending(alice))
		}
	})
}

// TestPublishBatch: each message has its own fate, and the first figure says how
// many have failed.
func TestPublishBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{MailboxLen: 2}, publishing())
		if err := s.store.CloseSession(t.Context(), bob); err != nil {
			t.Fatal(err)
		}
		a := s.post(fullKey, fmt.Sprintf(`{"messages":[
			{"session":%[1]q,"action":"Did","data":{"n":1}}, {"session":%[2]q,"action":"Did"}, {"session":%[1]q,"action":"bad"},
			{"session":%[1]q,"action":"Did","data":{"n":2}}, {"session":%[1]q,"action":"Did","data":{"n":3},"id":"three"}]}`, alice, bob))
		var got struct {
			Failed  int
			Results []struct {
				ID      string
				Seq     uint64
				Problem *struct {
					Status int
					ID     string
				}
			}
		}
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			t.Fatal(err)
		}
		var fates []int
		for _, r := range got.Results {
			if r.Problem != nil {
				fates = append(fates, r.Problem.Status)
			} else {
				fates = append(fates, 202)
			}
		}
		if fmt.Sprint(a.status, got.Failed, fates) != "200 3 [202 410 400 202 429]" || !strings.HasPrefix(a.body, `{"failed":3,`) || got.Results[4].Problem.ID != "three" {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

func TestPublishIsLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, publishing())
		body := fmt.Sprintf(`{"session":%q,"action":"Toast"}`, alice)
		var last answer
		for range 21 {
			last = s.post(fullKey, body)
		}
		if last.status != http.StatusTooManyRequests || last.kind() != "rate" || last.header.Get("Retry-After") != "1" {
			t.Errorf("behind the burst: %d %s %v", last.status, last.body, last.header)
		}
		if a := s.post(narrowKey, body); a.status != http.StatusAccepted {
			t.Errorf("another key: %d %s", a.status, a.body)
		}
		time.Sleep(time.Second)
		if a := s.post(fullKey, body); a.status != http.StatusAccepted {
			t.Errorf("a second later: %d %s", a.status, a.body)
		}
	})
}

func TestPublishIsOffWithoutKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{})
		if a := s.post(fullKey, `{}`); a.status != http.StatusNotFound {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}
