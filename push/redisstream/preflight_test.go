package redisstream_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// as returns a Transport of a user with these rules.
func as(t *testing.T, server *redistest.Server, user string, rules ...any) *redisstream.Transport {
	t.Helper()
	c := server.Client(t)
	if err := c.Do(t.Context(), append([]any{"ACL", "SETUSER", user, "on", "nopass"}, rules...)...).Err(); err != nil {
		t.Fatal(err)
	}
	o := *c.Options()
	o.Username, o.Password = user, "any"
	client := redis.NewClient(&o)
	t.Cleanup(func() { _ = client.Close() })
	return newTransport(t, client, redisstream.Config{Prefix: "lm"})
}

// TestPreflightNamesEachDenial takes one permission after the other away.
func TestPreflightNamesEachDenial(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	all := []any{"~lm:*", "&lm:*", "+@all"}
	type row struct {
		name  string
		rules []any
		want  string
	}
	rows := []row{
		{"nothing", all, ""},
		{"keys", []any{"~other:*", "&lm:*", "+@all"}, "~lm:* is missing"},
		{"keys of partitions", []any{"~lm:cfg", "~lm:epoch", "&lm:*", "+@all"}, "~lm:* is missing"},
		{"keys without partitions", []any{"~lm:{*", "&lm:*", "+@all"}, "~lm:* is missing"},
		{"keys to read alone", []any{"%R~lm:*", "&lm:*", "+@all"}, "~lm:* is missing"},
		{"channels", []any{"~lm:*", "resetchannels", "+@all"}, "&lm:t:* is missing"},
		{"all but a few", []any{"~lm:*", "&lm:*", "+get", "+set"}, "+evalsha is missing"},
		{"dangerous and admin", []any{"~lm:*", "&lm:*", "+@all", "-@dangerous", "-@admin"}, ""},
	}
	for _, name := range redisstream.Needed() {
		name = strings.ToLower(name)
		rows = append(rows, row{name, append(slices.Clone(all), "-"+name), "may not run " + strings.ToUpper(name) + ": +" + name + " is missing"})
	}
	for i, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			user := "u" + string(rune('a'+i/26)) + string(rune('a'+i%26))
			denials, err := as(t, server, user, tt.rules...).Preflight(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			for _, d := range denials {
				said = append(said, d.String())
			}
			text := strings.Join(said, "; ")
			if tt.want == "" && text != "" || !strings.Contains(text, tt.want) || tt.want != "" && !strings.Contains(text, user) && tt.name != "all but a few" {
				t.Errorf("said %q of %s, want %q", text, user, tt.want)
			}
		})
	}
	t.Cleanup(func() {
		c := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2, DisableIdentity: true})
		defer c.Close()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience.Limit)
		defer cancel()
		// Only who may run neither UNLINK nor DEL leaves a key, and that expires.
		keys, err := c.Keys(ctx, "*preflight*").Result()
		for _, key := range keys {
			if ttl := c.TTL(ctx, key).Val(); ttl < 0 {
				t.Errorf("left behind for ever: %s", key)
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// TestPreflightFindsNothing where all is in order.
func TestPreflightFindsNothing(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, client redis.UniversalClient, cfg redisstream.Config) {
		t.Helper()
		denials, err := newTransport(t, client, cfg).Preflight(t.Context())
		if err != nil || len(denials) > 0 {
			t.Errorf("got %v, %v", denials, err)
		}
		if keys := client.Keys(t.Context(), "*preflight*").Val(); len(keys) > 0 {
			t.Errorf("left behind: %v", keys)
		}
	}
	onBoth(t, func(t *testing.T, client redis.UniversalClient) {
		t.Helper()
		check(t, client, redisstream.Config{})
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		check(t, redistest.StartCluster(t, redistest.Config{}, false).Client(t), redisstream.Config{WaitReplicas: 1})
	})
}

// TestPreflightKnowsTheScripts: a script that gains a command gains a look.
func TestPreflightKnowsTheScripts(t *testing.T) {
	t.Parallel()
	found := regexp.MustCompile(`call\('([A-Z]+)'`).FindAllStringSubmatch(redisstream.ScriptSources(), -1)
	if len(found) < 50 {
		t.Fatalf("only %d calls found", len(found))
	}
	for _, m := range found {
		if !slices.Contains(redisstream.Needed(), m[1]) {
			t.Errorf("Preflight does not try %s", m[1])
		}
	}
}

// TestRenamedCommand: a command that the server does not know is named too.
func TestRenamedCommand(t *testing.T) {
	t.Parallel()
	transport, _ := onServerWith(t, "--rename-command", "XREVRANGE", "")
	denials, err := transport.Preflight(t.Context())
	if err != nil || len(denials) != 1 || !strings.Contains(denials[0].Text, "does not know XREVRANGE") {
		t.Errorf("got %v, %v", denials, err)
	}
}

func onServerWith(t *testing.T, args ...string) (*redisstream.Transport, *redistest.Server) {
	t.Helper()
	server := redistest.Start(t, redistest.Config{Args: args})
	return newTransport(t, server.Client(t), redisstream.Config{}), server
}

// tries counts the appends of a publisher.
type tries struct {
	push.Appender
	n    atomic.Int64
	seen func(n int64)
}

func (a *tries) Append(ctx context.Context, m push.Message) (push.Receipt, error) {
	r, err := a.Appender.Append(ctx, m)
	a.seen(a.n.Add(1))
	return r, err
}

// TestPermanentErrorsAreNotRepeated has a server answer everything with an error.
// The publisher tries once where repeating cannot help, and until it succeeds
// where it can.
func TestPermanentErrorsAreNotRepeated(t *testing.T) {
	t.Parallel()
	for text, permanent := range map[string]bool{
		"NOPERM this user has no permissions to run the 'time' command":                                         true,
		"NOPERM User web has no permissions to run the 'evalsha' command":                                       true,
		"NOPERM No permissions to access a key":                                                                 true,
		"WRONGTYPE Operation against a key holding the wrong kind of value":                                     true,
		"NOSCRIPT No matching script. Please use EVAL.":                                                         true,
		"CROSSSLOT Keys in request don't hash to the same slot":                                                 true,
		"ERR unknown command 'EVALSHA', with args beginning with: 'a'":                                          true,
		"ERR Unknown Redis command called from script script: 72e1a, on @user_script:1.":                        true,
		"ERR The user executing the script can't run this command or subcommand script: 104ae, on @user_script": true,
		"ERR The user executing the script can't access at least one of the keys mentioned in the command":      true,
		"ERR This Redis command is not allowed from script script: 4bbb, on @user_script:1.":                    true,
		"ERR Error running script (call to f_104): @user_script:1: WRONGTYPE Operation against a key":           true,
		"ERR Error compiling script (new function): user_script:1: unexpected symbol":                           true,
		"ERR wrong number of arguments for 'evalsha' command":                                                   true,
		"ERR hash value is not an integer":                                                                      true,
		"ERR DB index is out of range":                                                                          true,
		"READONLY You can't write against a read only replica.":                                                 false,
		"OOM command not allowed when used memory > 'maxmemory'.":                                               false,
		"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.":      false,
		"LOADING Redis is loading the dataset in memory":                                                        false,
		"BUSY Redis is busy running a script.":                                                                  false,
		"NOREPLICAS Not enough good replicas to write.":                                                         false,
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":                      false,
		"CLUSTERDOWN The cluster is down":                                                                       false,
		"TRYAGAIN Multiple keys request during rehashing of slot":                                               false,
		"NOAUTH Authentication required.":                                                                       false,
		"WRONGPASS invalid username-password pair or user is disabled.":                                         false,
		"ERR max number of clients reached":                                                                     false,
		"ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed":                      false,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			server := miniredis.RunT(t)
			client := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2, DisableIdentity: true, MaxRetries: -1})
			t.Cleanup(func() { _ = client.Close() })
			transport := newTransport(t, client, redisstream.Config{})
			if err := transport.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			server.SetError(text)
			store := &tries{Appender: transport, seen: func(n int64) {
				if n == 3 {
					server.SetError("")
				}
			}}
			publisher, err := push.NewPublisher(store, push.PublisherConfig{Timeout: patience.Limit, RetryBase: time.Millisecond, RetryMax: time.Millisecond, Logger: quiet})
			if err != nil {
				t.Fatal(err)
			}
			_, err = publisher.Publish(t.Context(), message("s", "p"))
			switch n := store.n.Load(); {
			case permanent && (n != 1 || !errors.Is(err, push.ErrDenied) || !strings.Contains(err.Error(), text)):
				t.Errorf("%d tries, %v, want one and ErrDenied", n, err)
			case !permanent && (n < 4 || err != nil):
				t.Errorf("%d tries, %v, want it repeated until it succeeds", n, err)
			}
		})
	}
}
