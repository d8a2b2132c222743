package quickstart_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"lastmile/internal/docscheck/quickstart"
	"lastmile/internal/patience"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestQuickstart runs README's application as a browser without JavaScript
// would.
func TestQuickstart(t *testing.T) {
	t.Parallel()
	store := miniredis.NewMiniRedis()
	store.ClockTTL(true)
	if err := store.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	rdb := redis.NewClient(&redis.Options{Addr: store.Addr(), Protocol: 2})
	t.Cleanup(func() { _ = rdb.Close() })

	ctx, cancel := context.WithCancel(t.Context())
	app, err := quickstart.New(ctx, rdb)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}

	fetch(t, client, http.MethodGet, server.URL, nil)
	fetch(t, client, http.MethodPost, server.URL, url.Values{"live-action": {"Start"}, "file": {"quickstart.go"}})
	waitFor(t, client, server.URL, ` rows</p>`)
	fetch(t, client, http.MethodPost, server.URL, url.Values{"live-action": {"Start"}, "file": {"no such file"}})
	waitFor(t, client, server.URL, `there is no such file</p>`)

	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func waitFor(t *testing.T, client *http.Client, address, want string) {
	t.Helper()
	limit := time.After(patience.Limit)
	for {
		body := fetch(t, client, http.MethodGet, address, nil)
		if strings.Contains(body, want) {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-limit:
			t.Fatalf("the page never had %q:\n%s", want, body)
		}
	}
}

func fetch(t *testing.T, client *http.Client, method, address string, form url.Values) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%s", method, res.Status, err, body)
	}
	return string(body)
}
