// Package wire is what a page's connection is written and read through: a
// Transport. That is a WebSocket (Socket), or where those do not pass a response
// that lasts and requests beside it (Lane).
//
// The frames of a Socket do not go through the WebSocket library: the page's
// goroutine hands a whole frame to the system's socket, which mostly takes it at
// once, so that a frame costs one system call and no other goroutine. The library
// does the handshake, reads, and writes control frames.
//
// It knows the library, net/http and the operating system's sockets, and nothing
// of state, templates, messages or pushes. Package live alone uses it.
package wire
