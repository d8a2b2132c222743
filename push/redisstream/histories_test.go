package redisstream_test

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// TestNumbersOfTwoHistoriesDiffer: a replica takes over without the latest
// writes, and as much is written again. What the lost server has given out must
// not pass for the new one's: neither the fence of a connection, nor the version
// of shared fields.
func TestNumbersOfTwoHistoriesDiffer(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t, redistest.Config{}).Client(t)
	states := newTransport(t, client, redisstream.Config{}).States()
	ctx := t.Context()
	conn := push.ConnRecord{Session: "s", Conn: "c", View: "v", State: []byte("{}")}
	if err := states.CreateConn(ctx, conn, time.Minute); err != nil {
		t.Fatal(err)
	}
	take := func() push.ConnRecord {
		t.Helper()
		r, err := states.TakeConn(ctx, "s", "c", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	commit := func(r push.ConnRecord, v push.ViewRecord) (push.ViewRecord, error) {
		res, err := states.Commit(ctx, push.Commit{Conn: r, ConnTTL: time.Minute, View: &v, ViewTTL: time.Minute})
		return res.View, err
	}
	first, err := commit(take(), push.ViewRecord{State: []byte(`{"n":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	fallBack := remember(t, client)

	lost := take()
	lostView, err := commit(lost, push.ViewRecord{State: []byte(`{"n":"lost"}`), Version: first.Version})
	if err != nil {
		t.Fatal(err)
	}
	fallBack()
	kept := take()
	keptView, err := commit(kept, push.ViewRecord{State: []byte(`{"n":"kept"}`), Version: first.Version})
	if err != nil {
		t.Fatal(err)
	}

	if _, err := commit(lost, keptView); !errors.Is(err, push.ErrFenced) {
		t.Errorf("who took the connection on the lost server commits: %v, want ErrFenced", err)
	}
	if _, err := commit(kept, lostView); !errors.Is(err, push.ErrStateConflict) {
		t.Errorf("who knows the fields of the lost server commits: %v, want ErrStateConflict", err)
	}
}

// remember returns what puts a server back to what it holds now.
func remember(t *testing.T, client redis.UniversalClient) (fallBack func()) {
	t.Helper()
	ctx := t.Context()
	held := map[string]string{}
	for _, key := range client.Keys(ctx, "*").Val() {
		held[key] = client.Dump(ctx, key).Val()
	}
	return func() {
		t.Helper()
		if err := client.FlushDB(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		for key, value := range held {
			if err := client.Restore(ctx, key, time.Minute, value).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
