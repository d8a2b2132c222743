package config_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/cmd/internal/config"
)

// secret is what no message may hold.
const secret = "hunter2"

// urls are ways to write a Redis URL with a secret in it. The good ones are used
// as they are.
var urls = []struct {
	url  string
	want string // a part of what is said about a bad one, "" for a good one
}{
	{"redis://:hunter2@127.0.0.1:1/0", ""},
	{"redis://hunter2@127.0.0.1:1/0", ""},
	{"redis://hunter2:hunter2@127.0.0.1:1", ""},
	{"redis://web:hunter2@[::1]:1/2", ""},
	{"redis://web:hunter2%2F%40%23%25%5B@127.0.0.1:1", ""},
	{"redis://web:hunter2@x@127.0.0.1:1", ""},
	{"redis://web:hunter2:x@127.0.0.1:1", ""},
	{"rediss://web:hunter2@127.0.0.1:1/?skip_verify=true", ""},
	{"unix://web:hunter2@/nowhere/redis.sock?db=1", ""},
	{"redis+cluster://web:hunter2@127.0.0.1:1?addr=127.0.0.1:2", ""},
	{"rediss+cluster://:hunter2@127.0.0.1:1", ""},
	{"redis+sentinel://:hunter2@127.0.0.1:1?master_name=m&username=web&password=hunter2&addr=127.0.0.1:2", ""},
	{"REDIS://:hunter2@127.0.0.1:1", ""},
	{"redis://:hunter2@127.0.0.1", ""},
	{"redis://:hunter2@/0", ""},
	{"redis://:hunter2@127.0.0.1:1?client_name=hunter2", ""},

	{"hunter2", "no scheme"},
	{"127.0.0.1:6379", "no scheme"},
	{"redis:hunter2@h:1", "no scheme"},
	{"redis//:hunter2@h", "no scheme"},
	{"http://:hunter2@h", "its scheme must be"},
	{"hunter2://h", "its scheme must be"},
	{"redis+tls://:hunter2@h", "its scheme must be"},
	{" redis://:hunter2@h", "its scheme must be"},
	{"unix+cluster://:hunter2@h", "its scheme must be"},
	{"redis://:hunter2@h:x", "not a URL"},
	{"redis://:hunter2@h:99999", "port 1 to 65535"},
	{"redis://:hunter2@h:0", "port 1 to 65535"},
	{"redis://:hunter2@h:", "port 1 to 65535"},
	{"redis://:hunter2@h:-1", "not a URL"},
	{"redis://h:hunter2", "not a URL"},
	{"redis://:hunter2%@h", "not a URL"},
	{"redis://:hunter2%zz@h", "not a URL"},
	{"redis://:hunter2/x@h:1/0", "not a URL"},
	{"redis://:12/hunter2@h:1/0", "%2F for /"},
	{"redis://:hunter2#x@h", "not a URL"},
	{"redis://:12#hunter2@h", "%23 for #"},
	{"redis://:hunter2?x@h", "not a URL"},
	{"redis://:12?hunter2@h", "%3F for ?"},
	{"redis://:hunter2[@h", "not a URL"},
	{"redis://:hunter2]x@h", "not a URL"},
	{"redis://:hunter2 x@h", "not a URL"},
	{"redis://:hunter2\\x@h", "not a URL"},
	{"redis://:hunter2\tx@h", "not a URL"},
	{"redis://:hunter2\nx@h", "not a URL"},
	{"redis://:hunter2\x00@h", "not a URL"},
	{"redis://:hunter2@h hunter2", "not a URL"},
	{"redis://:hunter2@h/hunter2", "database number"},
	{"redis://:hunter2@h/1/hunter2", "database number"},
	{"redis://:hunter2@h/-1", "database number"},
	{"redis://h/0?password=hunter2", "unknown option"},
	{"redis://h/0?hunter2=1", "unknown option"},
	{"redis://h/0?dial_timeout=hunter2", "its option dial_timeout"},
	{"redis://h/0?pool_size=hunter2", "its option pool_size"},
	{"redis://:hunter2@h?pool_size=9999999999", "range"},
	{"redis://h?x=%hunter2", "not a URL"},
	{"redis://h?x=1;password=hunter2", "not a URL"},
	{"redis://:hunter2@h1:1,h2:2", "several hosts"},
	{"redis://:hunter2@h1,h2:2", "several hosts"},
	{"redis://[::1:hunter2", "not a URL"},
	{"redis://:hunter2@[::1", "not a URL"},
	{"redis://hunter2!:1", "its host"},
	{"unix://hunter2", "takes no host"},
	{"unix://:hunter2@", "path of a socket"},
	{"unix://:12/hunter2@/run/redis.sock", "%2F for /"},
	{"unix:///run/redis.sock?db=hunter2", "not usable"},
	{"redis+cluster://:hunter2@h/3", "one database"},
	{"redis+cluster://h?addr=hunter2", "addr must be"},
	{"redis+cluster://h?addr=:hunter2@h:1", "%40"},
	{"redis+cluster://:hunter2@h?route_randomly=true", "replicas"},
	{"redis+sentinel://:hunter2@h", "master_name"},
	{"redis+sentinel://h?master_name=m&password=hunter2@", "%40"},
	{"redis+sentinel://:hunter2@h?master_name=m&route_by_latency=true", "replicas"},
	{"redis+sentinel://h/hunter2?master_name=m", "database number"},
	{"redis+sentinel://h?master_name=m&addr=hunter2", "addr must be"},
	{"://:hunter2@h", "its scheme must be"},
	{"redis://", ""},
	{"redis://%68unter2%zz", "not a URL"},
}

// said returns all that a program prints about a URL: what Parse prints, the
// help, and for a good one what is logged and what its commands answer.
func said(t testing.TB, url string, connect bool) (text string, good bool) {
	t.Helper()
	var out bytes.Buffer
	var a app
	_, code, done := config.Parse(&a, "app", "An app.", []string{"--redis-url=" + url}, &out, &out)
	config.Parse(&app{}, "app", "An app.", []string{"--redis-url=" + url, "--help"}, &out, &out)
	config.Parse(&app{}, "app", "An app.", []string{"--redis-ulr=" + url}, &out, &out)
	config.Parse(&app{}, "app", "An app.", []string{url}, &out, &out)
	if strings.Contains(url, "://") {
		config.Parse(&app{}, "app", "An app.", []string{"--concurrency=" + url}, &out, &out)
	}
	r := config.Redis{URL: url, Prefix: "lm"}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("settings", "redis", r.Redacted())
	client, err := r.Client()
	if err != nil {
		out.WriteString(err.Error())
	} else {
		if connect {
			// The time of a program's first look at its store, or none: a client
			// that gives up tells a different story from one that does not wait.
			for _, wait := range []time.Duration{0, 3 * time.Second} {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), wait)
				_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error { return p.Ping(ctx).Err() })
				out.WriteString(err.Error())
				out.WriteString(client.Ping(ctx).Err().Error())
				cancel()
			}
		}
		if err := client.Close(); err != nil {
			out.WriteString(err.Error())
		}
	}
	if good := err == nil; url != "" && (done == good || good != (code == config.ExitOK)) {
		t.Errorf("%q: Parse says %d, Client %v", url, code, err)
	}
	return out.String(), err == nil
}

// TestURLsAndTheirSecrets goes through URLs that are malformed and unusual: what
// is wrong is said, and no secret is.
func TestURLsAndTheirSecrets(t *testing.T) {
	t.Parallel()
	if len(urls) < 40 {
		t.Errorf("only %d URLs", len(urls))
	}
	// Side by side: most of it is waiting for servers that are not there.
	texts, goods := make([]string, len(urls)), make([]bool, len(urls))
	var wg sync.WaitGroup
	for i, tt := range urls {
		wg.Go(func() { texts[i], goods[i] = said(t, tt.url, tt.want == "" && strings.Contains(tt.url, secret)) })
	}
	wg.Wait()
	for i, tt := range urls {
		text, good := texts[i], goods[i]
		if good != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: good %v, said:\n%s\nwant %q", tt.url, good, text, tt.want)
		}
		if strings.Contains(text, secret) {
			t.Errorf("%s: the secret is told:\n%s", tt.url, text)
		}
	}
}

// FuzzURLSecret puts the secret between two parts of any text.
func FuzzURLSecret(f *testing.F) {
	for _, tt := range urls {
		if before, after, ok := strings.Cut(tt.url, secret); ok {
			f.Add(before, after)
		}
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		if strings.ContainsRune(before+after, 0) {
			return // no program gets an argument with it
		}
		// In a host or a socket's path it is no secret: they are told.
		text, good := said(t, before+secret+after, false)
		r := config.Redis{URL: before + secret + after}
		if good && strings.Contains(r.Redacted(), secret) {
			return
		}
		if strings.Contains(text, secret) {
			t.Errorf("%q tells the secret:\n%s", r.URL, text)
		}
	})
}
