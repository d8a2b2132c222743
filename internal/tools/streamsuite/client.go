package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"lastmile/push/stream"
)

const (
	tokens = 4000
	kills  = 3
)

// client has the protocol's own client read a stream while it is written and its
// Redis is killed, and says how long that took.
func client(ctx context.Context, root, modules string) (time.Duration, error) {
	dir, err := os.MkdirTemp("", "streamsuite")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := lay(root, modules, dir); err != nil {
		return 0, err
	}
	redis, err := newServer(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer redis.end()
	started := time.Now()
	got, want := []string(nil), ""
	err = serve(ctx, redis.client, func(ctx context.Context, store stream.Store, url string) error {
		cmd := exec.CommandContext(ctx, "node", filepath.Join(dir, "client.mjs")) //nolint:gosec // a script of ours
		cmd.Env = append(os.Environ(), "SUITE_URL="+url+"/tale/one")
		var out, said strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &said
		if _, _, err := store.Create(ctx, stream.Key{Group: "tale", Name: "one"}, stream.Create{ContentType: "text/plain"}); err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		text, err := tale(ctx, store, redis)
		if err != nil {
			_ = cmd.Process.Kill()
		}
		if err := errors.Join(err, cmd.Wait()); err != nil {
			return fmt.Errorf("%w\n%s", err, said.String())
		}
		sum := sha256.Sum256([]byte(text))
		want = hex.EncodeToString(sum[:])
		return json.Unmarshal([]byte(out.String()), &got)
	})
	if err != nil {
		return 0, fmt.Errorf("streamsuite: the protocol's client: %w", err)
	}
	for i, sum := range got {
		if sum != want {
			return 0, fmt.Errorf("streamsuite: reader %d of the protocol's client has other bytes than were written", i+1)
		}
	}
	if len(got) != 4 {
		return 0, fmt.Errorf("streamsuite: %d readers of the protocol's client, want 4", len(got))
	}
	return time.Since(started), nil
}

// lay puts the scripts beside a link to the modules. The one that an application
// would have is the recipe's.
func lay(root, modules, dir string) error {
	script, err := os.ReadFile(filepath.Join(root, "internal/tools/streamsuite/client.mjs"))
	if err != nil {
		return err
	}
	recipe, err := os.ReadFile(filepath.Join(root, "docs/recipes/streams.md"))
	if err != nil {
		return err
	}
	_, code, found := strings.Cut(string(recipe), "```js\n")
	code, _, ended := strings.Cut(code, "```")
	if !found || !ended {
		return errors.New("streamsuite: docs/recipes/streams.md has no JavaScript")
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "client.mjs"), script, 0o600),       //nolint:gosec // a directory that this process made
		os.WriteFile(filepath.Join(dir, "follow.mjs"), []byte(code), 0o600), //nolint:gosec // likewise
		os.Symlink(modules, filepath.Join(dir, "node_modules")))
}

// tale writes a text, and kills the server now and then.
func tale(ctx context.Context, store stream.Store, redis *server) (string, error) {
	w, err := stream.Open(ctx, store, stream.Key{Group: "tale", Name: "one"}, stream.WriterConfig{ContentType: "text/plain"})
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for i := range tokens {
		token := fmt.Sprintf(" %d €\n", i)
		text.WriteString(token)
		if _, err := io.WriteString(w, token); err != nil {
			return "", err
		}
		if i%(tokens/kills) == tokens/kills/2 {
			if err := redis.restart(ctx); err != nil {
				return "", err
			}
		}
		if i%10 == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	return text.String(), w.CloseContext(ctx)
}
