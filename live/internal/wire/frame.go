package wire

import (
	"encoding/binary"
	"sync"
)

const (
	// headRoom is the room for a frame's header in front of its payload.
	headRoom = 10
	// frameCap is what a new frame takes.
	frameCap = 1 << 10
	// maxPooled keeps a rare large page from staying in the pool.
	maxPooled = 256 << 10
)

// Frame is a text frame that is being made.
type Frame struct{ b []byte }

// Start returns what the payload is to be appended to, and then given to End.
func (f *Frame) Start() []byte { return f.b[:headRoom] }

// End takes what Start returned with the payload behind it.
func (f *Frame) End(b []byte) { f.b = b }

// Size returns the length of the payload.
func (f *Frame) Size() int { return len(f.b) - headRoom }

// bytes returns the frame as it goes over the wire. A server's frames are not
// masked.
func (f *Frame) bytes() []byte {
	const text = 0x81 // a whole message
	b, n := f.b, f.Size()
	switch {
	case n < 126:
		b = b[headRoom-2:]
		b[1] = byte(n) //nolint:gosec // the case bounds it
	case n < 1<<16:
		b = b[headRoom-4:]
		b[1] = 126
		binary.BigEndian.PutUint16(b[2:], uint16(n))
	default:
		b[1] = 127
		binary.BigEndian.PutUint64(b[2:], uint64(n))
	}
	b[0] = text
	return b
}

// event returns the frame as an event of a stream. JSON has no line breaks.
func (f *Frame) event() []byte {
	const head = "data: "
	f.b = append(f.b, "\n\n"...)
	b := f.b[headRoom-len(head):]
	copy(b, head)
	return b
}

// Pool keeps frames for reuse: an idle connection holds none. The zero Pool is
// ready, and safe for concurrent use.
type Pool struct{ frames sync.Pool }

// Get returns an empty frame.
func (p *Pool) Get() *Frame {
	if f, ok := p.frames.Get().(*Frame); ok {
		return f
	}
	return &Frame{make([]byte, headRoom, frameCap)}
}

// Put takes a frame back that nobody uses any more.
func (p *Pool) Put(f *Frame) {
	if cap(f.b) <= maxPooled {
		f.b = f.b[:headRoom]
		p.frames.Put(f)
	}
}
