package config_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"

	"lastmile/cmd/internal/config"
	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push"
)

// ear tells of what a listener hears.
type ear struct{ heard chan string }

func (e ear) Notify(notices []push.Notice) {
	for _, n := range notices {
		e.heard <- n.Entry.ID
	}
}

func (e ear) Resync() {}

// TestPasswordChanges changes the password while a program runs, and cuts its
// connections: it goes on with what the file says then, publishing and
// listening, without a restart.
func TestPasswordChanges(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		user   string
		change func(ctx context.Context, c *redis.Client, password string) error
	}{
		{"ACL SETUSER", "web", func(ctx context.Context, c *redis.Client, password string) error {
			return c.Do(ctx, "ACL", "SETUSER", "web", "reset", "on", ">"+password, "~*", "&*", "+@all").Err()
		}},
		{"CONFIG SET requirepass", "", func(ctx context.Context, c *redis.Client, password string) error {
			return c.ConfigSet(ctx, "requirepass", password).Err()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			server := redistest.Start(t, redistest.Config{})
			operator := server.Client(t)
			if tt.user == "" { // the operator's own sign-in must not change
				if err := operator.Do(ctx, "ACL", "SETUSER", "operator", "on", "nopass", "~*", "&*", "+@all").Err(); err != nil {
					t.Fatal(err)
				}
				operator = redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "operator", Password: "any", Protocol: 2, DisableIdentity: true})
				t.Cleanup(func() { _ = operator.Close() })
			}
			file := filepath.Join(t.TempDir(), "password")
			change := func(password string) {
				t.Helper()
				if err := tt.change(ctx, operator, password); err != nil {
					t.Fatal(err)
				}
			}
			write(t, file, []byte("first\n"))
			change("first")

			settings := config.Redis{URL: "redis://" + server.Addr(), Prefix: "lm", Username: tt.user, PasswordFile: file}
			client, err := settings.Client()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = client.Close() })
			log := slog.New(slog.DiscardHandler)
			transport, err := new(config.Push).Transport(client, "lm", log, nil)
			if err != nil {
				t.Fatal(err)
			}
			publisher, err := push.NewPublisher(transport, push.PublisherConfig{Timeout: patience.Limit, Logger: log})
			if err != nil {
				t.Fatal(err)
			}
			e := ear{make(chan string, 16)}
			ended := make(chan error, 1)
			listenCtx, stop := context.WithCancel(ctx)
			go func() { ended <- transport.Listen(listenCtx, "node", e) }()
			t.Cleanup(func() {
				stop()
				if err := <-ended; err != nil {
					t.Errorf("listen: %v", err)
				}
			})
			if _, err := transport.Attach(ctx, "node", "s", 0); err != nil {
				t.Fatal(err)
			}
			publish := func(id string) {
				t.Helper()
				if _, err := publisher.Publish(ctx, push.Message{ID: id, Session: "s", Action: "Act"}); err != nil {
					t.Fatal(err)
				}
				if got := patience.Receive(t, "the push "+id, e.heard); got != id {
					t.Fatalf("heard %q, want %q", got, id)
				}
			}
			publish("before")

			change("second")
			cut(t, operator)
			if err := client.Ping(ctx).Err(); !redis.HasErrorPrefix(err, "WRONGPASS") {
				t.Fatalf("with the old password: %v, want WRONGPASS", err)
			}
			write(t, file, []byte("second\n"))
			publish("after the file")

			// The other way round: the file knows first.
			write(t, file, []byte("third"))
			publish("before the server")
			change("third")
			cut(t, operator)
			publish("after the server")
		})
	}
}

// cut ends all connections but the one that asks for it.
func cut(t *testing.T, operator *redis.Client) {
	t.Helper()
	if err := operator.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
		t.Fatal(err)
	}
}
