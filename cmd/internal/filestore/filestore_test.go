package filestore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"lastmile/cmd/internal/filestore"
)

func newStore(t *testing.T, cfg filestore.Config) (*filestore.Store, *miniredis.Miniredis) {
	t.Helper()
	m := miniredis.NewMiniRedis()
	client := redis.NewClient(&redis.Options{
		Addr:                     "127.0.0.1:6379",
		Dialer:                   func(context.Context, string, string) (net.Conn, error) { return m.Dial() },
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		m.Close()
	})
	s, err := filestore.New(client, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, m
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"nothing": "", "part of a chunk": "abc", "one chunk": "12345678", "several chunks": strings.Repeat("0123456789", 10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, m := newStore(t, filestore.Config{ChunkBytes: 8, TTL: 2 * time.Hour})
			info, err := s.Save(t.Context(), "a.csv", iotest.OneByteReader(strings.NewReader(content)))
			if err != nil {
				t.Fatal(err)
			}
			got, r, err := s.Open(t.Context(), info.ID)
			if err != nil {
				t.Fatal(err)
			}
			if got != info || info.Name != "a.csv" || info.Size != int64(len(content)) {
				t.Errorf("got %+v and %+v", info, got)
			}
			if b, err := io.ReadAll(r); err != nil || string(b) != content {
				t.Errorf("got %q, %v, want %q", b, err, content)
			}
			for _, key := range m.Keys() {
				if ttl := m.TTL(key); ttl != 2*time.Hour && key != "lm:files" {
					t.Errorf("%s lives %s, want 2 hours", key, ttl)
				}
			}
			for range 2 {
				if err := s.Delete(t.Context(), info.ID); err != nil {
					t.Fatal(err)
				}
			}
			if keys := m.Keys(); len(keys) != 0 {
				t.Errorf("keys left after Delete: %v", keys)
			}
			if _, _, err := s.Open(t.Context(), info.ID); !errors.Is(err, filestore.ErrNotFound) {
				t.Errorf("Open after Delete: got %v", err)
			}
		})
	}
}

func TestSaveRefuses(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for _, tt := range []struct {
		name string
		cfg  filestore.Config
		body io.Reader
		want error
	}{
		{"too large", filestore.Config{MaxBytes: 20, ChunkBytes: 8}, strings.NewReader(strings.Repeat("x", 21)), filestore.ErrTooLarge},
		{"cut off", filestore.Config{ChunkBytes: 8}, io.MultiReader(strings.NewReader(strings.Repeat("x", 30)), iotest.ErrReader(broken)), broken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, m := newStore(t, tt.cfg)
			if _, err := s.Save(t.Context(), "a", tt.body); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if keys := m.Keys(); len(keys) != 0 {
				t.Errorf("keys left: %v", keys)
			}
		})
	}
}

func TestTotalIsBounded(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, filestore.Config{MaxTotalBytes: 10})
	save := func() (filestore.Info, error) { return s.Save(t.Context(), "a", strings.NewReader("123456")) }
	first, err := save()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := save(); err != nil {
		t.Fatalf("with room left: %v", err)
	}
	if _, err := save(); !errors.Is(err, filestore.ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	if err := s.Delete(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := save(); err != nil {
		t.Errorf("after a delete: %v", err)
	}
}

func TestReadStops(t *testing.T) {
	t.Parallel()
	s, m := newStore(t, filestore.Config{ChunkBytes: 8})
	info, err := s.Save(t.Context(), "a", bytes.NewReader(make([]byte, 64)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, r, err := s.Open(ctx, info.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, r, 8); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context's end: got %v", err)
	}
	if _, r, err = s.Open(t.Context(), info.ID); err != nil {
		t.Fatal(err)
	}
	m.Del("lm:file:{" + info.ID + "}:3")
	if _, err := io.ReadAll(r); !errors.Is(err, filestore.ErrNotFound) {
		t.Errorf("with a chunk gone: got %v", err)
	}
}
