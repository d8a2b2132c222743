package pushtest_test

import (
	"testing"
	"time"

	"lastmile/push/mempush"
	"lastmile/push/pushtest"
	"lastmile/push/redisstream"
)

// A store's own tests run the suite. In a bubble a day of waiting costs no time.
func ExampleRunBubble() {
	_ = func(t *testing.T) { // func TestConformance(t *testing.T)
		pushtest.RunBubble(t, func(t *testing.T) pushtest.Backend {
			store, err := mempush.New(mempush.Config{})
			if err != nil {
				t.Fatal(err)
			}
			return pushtest.Backend{Transport: store, States: store, Dead: store, Broker: store, Advance: time.Sleep}
		})
	}
}

// A store on real servers runs the suite by the real clock.
func ExampleRun() {
	var newBackend func(t *testing.T) pushtest.Backend // connects to a server of the test's own
	_ = func(t *testing.T) { pushtest.Run(t, newBackend) }
}

// A Redis inside the bubble of a test.
func ExampleNewRedis() {
	_ = func(t *testing.T) { // inside synctest.Test
		client := pushtest.NewRedis(t).Client(t)
		if _, err := redisstream.New(client, redisstream.Config{}); err != nil {
			t.Fatal(err)
		}
	}
}
