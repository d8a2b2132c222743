// Package delivery is what a page does with pushes: in which order it applies
// them to its state, when it stores state and place, what it does about a
// conflict, a failure, a crash loop and a store that has fallen back, and what
// it acknowledges.
//
// It is not the page: it knows no socket, no frame, no template and no HTTP, and
// it runs no goroutine. A [Session] belongs to the goroutine of one connection;
// a [Mount] to the request that makes a page. Both decide by the same rules
// whether a push may start ([Gate], [Counts]) and how the fields are merged that
// the session's pages share. Only package live may call it.
package delivery
