// Package wire is what a page's WebSocket is written and read through. The
// page's frames do not go through the WebSocket library: the page's goroutine
// hands a whole frame to the system's socket, which mostly takes it at once, so
// that a frame costs one system call and no other goroutine. The library does
// the handshake, reads, and writes control frames.
//
// It knows the library and the operating system's sockets, and nothing of
// state, templates, messages or pushes. Package live alone uses it.
package wire
