package redisstore_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"

	"lastmile/internal/redistest"
	"lastmile/push/stream"
)

// BenchmarkAppend stores 25 bytes, with their wake-up; us-redis/op is Redis's own
// time.
func BenchmarkAppend(b *testing.B) {
	server := redistest.Start(b, redistest.Config{})
	store := newStore(b, server.Client(b))
	state, err := store.Open(b.Context(), key, stream.Claim{ContentType: "text/plain", MaxBytes: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	data := []byte(strings.Repeat("x", 25))
	before, at := server.CPU(b), int64(0)
	for b.Loop() {
		if _, err := store.Append(b.Context(), key, stream.Append{Data: data, Run: state.Run, At: at}); err != nil {
			b.Fatal(err)
		}
		at += int64(len(data))
	}
	b.ReportMetric(float64((server.CPU(b)-before).Microseconds())/float64(b.N), "us-redis/op")
}

// BenchmarkFollow has 5,000 readers of 20 streams read one append more of each;
// reads/op are those that asked Redis.
func BenchmarkFollow(b *testing.B) {
	const streams, each = 20, 250
	store := newStore(b, redistest.Start(b, redistest.Config{}).Client(b))
	ctx, stop := context.WithCancel(b.Context())
	var running, readers, got sync.WaitGroup
	running.Go(func() { _ = store.Run(ctx) })
	for i := range streams {
		k := stream.Key{Group: strconv.Itoa(i)}
		if _, _, err := store.Create(ctx, k, stream.Create{Data: []byte("x")}); err != nil {
			b.Fatal(err)
		}
		got.Add(each)
		for range each {
			readers.Go(func() {
				for c, err := range stream.Follow(ctx, store, k, stream.Start) {
					if err != nil {
						return
					}
					got.Add(-len(c.Data))
				}
			})
		}
	}
	got.Wait()
	before := reads(store)
	for b.Loop() {
		got.Add(streams * each)
		for i := range streams {
			if _, err := store.Append(ctx, stream.Key{Group: strconv.Itoa(i)}, stream.Append{Data: []byte("y")}); err != nil {
				b.Fatal(err)
			}
		}
		got.Wait()
	}
	b.ReportMetric((reads(store)-before)/float64(b.N), "reads/op")
	stop()
	readers.Wait()
	running.Wait()
}
