// Package redisstream stores pushes in Redis: it is the push.Transport to run.
//
//	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{"127.0.0.1:6379"}})
//	transport, err := redisstream.New(client, redisstream.Config{})
//	if err != nil {
//		return err
//	}
//	publisher, err := push.NewPublisher(transport, push.PublisherConfig{})
//
// Redis 6.2 or later is needed, single, with Sentinel, or as a Cluster, with
// maxmemory-policy noeviction and appendonly yes; [Transport.Warnings] tells
// what is amiss.
//
// # How it works
//
// Each session has a mailbox, a stream, which is the truth. Append is one
// script: it finds repeats by push ID, issues the place, writes the entry, and
// adds a hint to the stream of each web node that holds a connection of the
// session. A node blocks on its own streams and so needs no polling; what a
// lost hint would hide is found by the places, since each entry names the one
// before it, and by the sweep ([Transport.Check]).
//
// All keys of a session share the hash tag of its partition, so that every
// script stays in one slot of a cluster. [KeyTable] lists every key.
package redisstream
