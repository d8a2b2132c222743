package readiness_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/readiness"
	"lastmile/internal/redistest"
	"lastmile/internal/repo"
	"lastmile/push/redisstream"
)

// TestStoreNamesWhatJobsLack takes one permission after the other away that jobs
// need: the store is not to be used, and the log says why, once.
func TestStoreNamesWhatJobsLack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	rows := map[string][]any{
		"~asynq:* is missing": {"~lm:*", "&*", "+@all"},
		"~lm:* is missing":    {"~asynq:*", "~lm:cfg", "~lm:epoch", "&*", "+@all"},
	}
	for _, name := range readiness.JobCommands() {
		name = strings.ToLower(name)
		rows["+"+name+" is missing"] = []any{"~*", "&*", "+@all", "-" + name}
	}
	for want, rules := range rows {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			user := "u" + regexp.MustCompile(`[^a-z]`).ReplaceAllString(want, "")
			if err := server.Client(t).Do(t.Context(), append([]any{"ACL", "SETUSER", user, "on", "nopass"}, rules...)...).Err(); err != nil {
				t.Fatal(err)
			}
			client := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: user, Password: "any", Protocol: 2, DisableIdentity: true})
			t.Cleanup(func() { _ = client.Close() })
			var log bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&log, nil))
			transport, err := redisstream.New(client, redisstream.Config{Logger: logger})
			if err != nil {
				t.Fatal(err)
			}
			store := readiness.NewStore(transport, client, logger)
			for range 2 {
				if err := store.Ping(t.Context()); !errors.Is(err, readiness.ErrDenied) {
					t.Errorf("got %v, want ErrDenied", err)
				}
			}
			if n := strings.Count(log.String(), want); n != 1 && !strings.Contains(log.String(), "NOPERM") {
				t.Errorf("%q is said %d times, want once:\n%s", want, n, &log)
			}
		})
	}
}

// TestJobCommandsAreThoseOfTheScripts: a script that gains a command gains a look.
func TestJobCommandsAreThoseOfTheScripts(t *testing.T) {
	t.Parallel()
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "jobs/lua/*.lua"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// What a script can do without it calls by pcall.
		for _, m := range regexp.MustCompile(`[^p]call\(['"]([A-Z]+)['"]`).FindAllStringSubmatch(string(b), -1) {
			if found++; !slices.Contains(readiness.JobCommands(), m[1]) {
				t.Errorf("%s runs %s, which is not tried", filepath.Base(file), m[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d calls found", found)
	}
}
