// Package stream keeps texts and lists that grow: what a job, a program or
// another language appends is seen by every reader byte for byte, once, in
// order, from the start, whenever it comes. Readers and writers may die and come
// back; the store is the truth. A Redis store is in package redisstore.
//
//	store, err := redisstore.New(client, redisstore.Config{})
//	go store.Run(ctx) // wakes readers
//	w, err := stream.Open(ctx, store, stream.Key{Group: "chat", Name: "answer"}, stream.WriterConfig{})
//	fmt.Fprint(w, "Once upon a time")
//	err = w.Close()
//
//	for chunk, err := range stream.Follow(ctx, store, key, stream.Start) {
//		...
//	}
//
// A Handler speaks the open Durable Streams protocol over the same store, so
// that its official clients read, and if they are let, write.
//
// Every byte of a stream has a position, and an Offset is a position within an
// edition: a writer that begins anew opens a new edition, which goes on where
// the old one ended, so that offsets only grow.
package stream
