package pushhttp_test

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"go.yaml.in/yaml/v3"

	"lastmile/push/mempush"
)

// described is the part of an OpenAPI description that is checked.
type described struct {
	Paths map[string]map[string]struct {
		Responses map[string]response
	}
	Components struct {
		Responses map[string]response
		Schemas   map[string]schema
	}
}

type response struct {
	Ref     string `yaml:"$ref"`
	Content map[string]struct{ Schema schema }
}

type schema struct {
	Ref        string `yaml:"$ref"`
	Type       string
	Required   []string
	Properties map[string]schema
	Items      *schema
}

func describedAPI(t *testing.T) described {
	t.Helper()
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d described
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// check holds a value against a schema: no property that is not described, none
// missing that is required.
func (d described) check(at string, s schema, value any) error {
	if s.Ref != "" {
		s = d.Components.Schemas[s.Ref[strings.LastIndex(s.Ref, "/")+1:]]
	}
	switch v := value.(type) {
	case map[string]any:
		if s.Properties == nil {
			return nil // any object
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				return fmt.Errorf("%s lacks %s", at, name)
			}
		}
		for name, inner := range v {
			p, ok := s.Properties[name]
			if !ok {
				return fmt.Errorf("%s.%s is not described", at, name)
			}
			if err := d.check(at+"."+name, p, inner); err != nil {
				return err
			}
		}
	case []any:
		for i, inner := range v {
			if err := d.check(fmt.Sprintf("%s[%d]", at, i), *s.Items, inner); err != nil {
				return err
			}
		}
	case string, bool, float64:
		if want := map[string]string{"string": "string", "bool": "boolean", "float64": "number"}[fmt.Sprintf("%T", v)]; s.Type != "" && s.Type != want && (want != "number" || s.Type != "integer") {
			return fmt.Errorf("%s is %T, want %s", at, v, s.Type)
		}
	}
	return nil
}

// TestDescriptionIsTrue: each answer of the handler is one that openapi.yaml has,
// in its form, and each endpoint that it has is there.
func TestDescriptionIsTrue(t *testing.T) {
	t.Parallel()
	api := describedAPI(t)
	synctest.Test(t, func(t *testing.T) {
		cfg := publishing()
		cfg.Render = fragment
		s := inMemory(t, mempush.Config{MailboxLen: 4}, cfg)
		s.push(alice, "Did", 1)
		id := s.poll(alice, "?wait=0").Next
		if err := s.store.CloseSession(t.Context(), bob); err != nil {
			t.Fatal(err)
		}
		poll := map[string]string{"Accept": jsonAccept}
		key := map[string]string{"Authorization": "Bearer " + fullKey}
		message := fmt.Sprintf(`{"session":%q,"action":"Did","data":{"n":1},"id":"x","replaces":"k","final":true}`, alice)
		seen := map[string]bool{}
		for i, c := range []call{
			{method: "GET", path: "events?wait=0", session: alice, header: poll},
			{method: "GET", path: "events?wait=0&as=html&limit=1&after=other", session: alice, header: poll},
			{method: "GET", path: "events?wait=0", session: bob, header: poll},
			{method: "GET", path: "events?actions=-", session: alice},
			{method: "GET", path: "events"},
			{method: "GET", path: "events", session: alice, header: map[string]string{"Origin": "https://evil.test"}},
			{method: "GET", path: "socket"},
			{method: "GET", path: "socket", session: bob},
			{method: "GET", path: "socket", session: alice},
			{method: "POST", path: "ack", session: alice, body: `{"upTo":"` + id + `"}`},
			{method: "POST", path: "ack", session: alice, body: `{}`},
			{method: "POST", path: "ack", session: alice, header: map[string]string{"Content-Type": "text/plain"}},
			{method: "POST", path: "publish", body: message, header: key},
			{method: "POST", path: "publish", body: `{"messages":[` + message + `,{"session":"","action":"Did"}]}`, header: key},
			{method: "POST", path: "publish", body: fmt.Sprintf(`{"session":%q,"action":"Did"}`, bob), header: key},
			{method: "POST", path: "publish", body: `{}`, header: key},
			{method: "POST", path: "publish", body: `{}`},
			{method: "GET", path: "push.js"},
			{method: "GET", path: "useLastmile.js"},
		} {
			path, _, _ := strings.Cut(c.path, "?")
			a := s.answer(c)
			operation, ok := api.Paths["/"+path][strings.ToLower(c.method)]
			if !ok {
				t.Errorf("%s %s is not described", c.method, path)
				continue
			}
			seen["/"+path] = true
			r, ok := operation.Responses[strconv.Itoa(a.status)]
			if !ok {
				t.Errorf("call %d, %s %s: %d is not described: %s", i, c.method, path, a.status, a.body)
				continue
			}
			if r.Ref != "" {
				r = api.Components.Responses[r.Ref[strings.LastIndex(r.Ref, "/")+1:]]
			}
			if r.Content == nil {
				continue
			}
			kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
			content, ok := r.Content[kind]
			if err != nil || !ok {
				t.Errorf("call %d, %s %s: %s is not described", i, c.method, path, kind)
				continue
			}
			if !strings.HasSuffix(kind, "json") {
				continue
			}
			var value any
			if err := json.Unmarshal([]byte(a.body), &value); err != nil {
				t.Fatal(err)
			}
			if err := api.check(path, content.Schema, value); err != nil {
				t.Errorf("call %d, %s %s: %v in %s", i, c.method, path, err, a.body)
			}
		}
		for path, methods := range api.Paths {
			if !seen[path] {
				t.Errorf("%s was not called", path)
			}
			for method := range methods {
				if other := map[string]string{"get": http.MethodPost, "post": http.MethodGet}[method]; s.answer(call{method: other, path: path[1:]}).status != http.StatusMethodNotAllowed {
					t.Errorf("%s %s is served and not described", other, path)
				}
			}
		}
	})
}
