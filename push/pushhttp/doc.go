// Package pushhttp gives the pushes of a session to any front end: plain pages,
// htmx, React, mobile apps, other languages. It needs no live page, no template
// and no build step.
//
//	handler, err := pushhttp.New(pushhttp.Deps{Node: node}, pushhttp.Config{Secrets: [][]byte{secret}})
//	mux.Handle("/push/", handler)
//	session, err := handler.Session(w, r) // in any handler: goes along with a job
//
// A Handler has these endpoints below the place where it is mounted:
//
//	GET events    a stream of events (text/event-stream), or with
//	              Accept: application/json a long poll
//	GET socket    the same over a WebSocket
//	POST ack      confirms what a reader has applied
//	POST publish  stores pushes, for programs in other languages (off by default)
//	GET push.js   the script for browsers; useLastmile.js is a React hook on it
//
// A reader is a cursor that the browser keeps: the server keeps no record of it.
// Each event has an ID, which is the cursor behind it, and a reader that comes
// back with the last one that it has seen gets what follows: in order, none
// missing, none twice. A cursor is signed for its session and its filter, so it
// is worth nothing to anybody else.
//
// What a reader confirms leaves the mailbox: by coming back from a cursor, by
// polling beyond it, or by posting it. A reader that can only listen confirms
// what was written to a connection that stayed healthy for Config.AckAfter.
// Confirmed pushes can still be read for the store's resume window, 2 minutes by
// default, so several readers of a session each keep a place of their own.
package pushhttp
