package main_test

import (
	"net/http"
	"strings"
	"testing"

	"lastmile/cmd/internal/programtest"
	"lastmile/internal/patience"
	"lastmile/internal/redistest"
)

// TestDeniedCommandIsNamed starts with a user of Redis who lacks a permission. It
// is named in the log, the program is not ready, and it is once the permission is
// there. The user's password is nowhere to be seen.
func TestDeniedCommandIsNamed(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-in-a-url"
	server := redistest.Start(t, redistest.Config{AOF: "everysec"})
	operator := server.Client(t)
	acl := func(rules ...any) {
		t.Helper()
		if err := operator.Do(t.Context(), append([]any{"ACL", "SETUSER", "web"}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	acl("on", ">"+secret, "~*", "&*", "+@all", "-time")
	p := programtest.Start(t, nil, "--addr=127.0.0.1:0", "--log-format=json", "--redis-url=redis://web:"+secret+"@"+server.Addr())
	address, _ := p.WaitLine("listening")["url"].(string)
	w := &web{p, t, address, ""}
	link, _ := p.WaitLine("operator's pages open with this link")["url"].(string)
	_, w.token, _ = strings.Cut(link, "/ops?token=")

	if cause, _ := p.WaitLine("redis is not usable")["cause"].(string); cause != "user web may not run TIME: +time is missing" {
		t.Errorf("the log says %q", cause)
	}
	var told strings.Builder
	patience.Until(t, "/readyz to tell of denied commands", func() bool {
		a := w.do(http.DefaultClient, http.MethodGet, "/readyz", nil)
		told.WriteString(a.body)
		return a.status == http.StatusServiceUnavailable && strings.Contains(a.body, "denies commands")
	})
	acl("+time")
	w.waitReady()
	for _, path := range []string{"/readyz", "/ops", "/metrics", "/admin/asynq/"} {
		told.WriteString(w.do(http.DefaultClient, http.MethodGet, path, w.operator).body)
	}
	if told.WriteString(p.Log()); strings.Contains(told.String(), secret) {
		t.Errorf("the password is told:\n%s", told.String())
	}
	if !strings.Contains(told.String(), "</html>") {
		t.Error("no page was looked at")
	}
}
