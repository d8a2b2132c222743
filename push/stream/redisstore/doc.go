// Package redisstore keeps streams (package stream) in Redis: it is the
// stream.Store to run.
//
//	store, err := redisstore.New(client, redisstore.Config{})
//	if err != nil {
//		return err
//	}
//	go store.Run(ctx) // or in the program's errgroup
//
// Redis 6.2 or later is needed, single, with Sentinel, or as a Cluster, with
// maxmemory-policy noeviction and appendonly yes.
//
// # How it works
//
// A stream is a hash and a Redis stream. The ID of an entry is the position of
// the byte behind it, so every position is a place to read from, and reading is a
// search in Redis's index. Each operation is one script; forks alone are copied by
// several runs of one, each bounded.
//
// Readers are woken by PUBLISH, on one connection a process, as a hint: small
// appends travel with it, so that most readers never ask Redis. Whatever a lost
// hint would hide is found by a sweep, once a second, over the streams that have
// readers in this process.
//
// All keys of a group share a hash tag, and so a slot of a cluster. [KeyTable]
// lists them.
package redisstore
