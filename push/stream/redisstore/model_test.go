package redisstore_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"lastmile/push/stream"
	"lastmile/push/stream/redisstore"
)

// model is what a stream of one owner should be.
type model struct {
	edition     int64
	begin, base int64  // where the edition begins, and what is kept of it
	bytes       []byte // from 0 on, of all editions
	closed      bool
	run         int64
	offsets     []stream.Offset // that were given out
}

// TestModel runs random operations against a store and a byte slice.
func TestModel(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, store *redisstore.Store) {
		t.Helper()
		for seed := range uint64(5) {
			m := &machine{T: t, store: store, r: rand.New(rand.NewPCG(seed, 0)), key: stream.Key{Group: "g", Name: strconv.FormatUint(seed, 10)}}
			if seed%3 == 0 {
				m.keep = 200
			}
			m.open(false)
			for range 120 {
				m.step()
			}
			for i := 1; i < len(m.offsets); i++ {
				if a, b := m.offsets[i-1], m.offsets[i]; strings.Compare(a.String(), b.String()) > 0 {
					t.Fatalf("offset %s was given before %s", a, b)
				}
			}
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	})
}

type machine struct {
	*testing.T
	model
	store *redisstore.Store
	r     *rand.Rand
	key   stream.Key
	keep  int64
	last  stream.Append // the last that was stored
}

func (m *machine) tail() int64 { return int64(len(m.bytes)) }

func (m *machine) step() {
	switch n := m.r.IntN(20); {
	case n < 8:
		m.append()
	case n < 10:
		m.repeat()
	case n == 10:
		m.oldRun()
	case n == 11:
		m.open(false)
	case n == 12:
		m.open(true)
	case n == 13 && m.r.IntN(4) == 0:
		m.close()
	default:
		m.read()
	}
}

func (m *machine) open(restart bool) {
	state, err := m.store.Open(m.Context(), m.key, stream.Claim{ContentType: "text/plain", MaxBytes: 1 << 20, Keep: m.keep, Restart: restart})
	if err != nil {
		m.Fatal(err)
	}
	if restart && (m.tail() > m.base || m.closed) {
		m.edition++
		m.begin, m.base, m.closed = m.tail(), m.tail(), false
		m.last = stream.Append{}
	}
	m.run++
	want := stream.State{
		ID: state.ID, ContentType: "text/plain", Closed: m.closed, Run: m.run,
		First: m.at(m.begin), Begin: m.at(m.base), End: m.at(m.tail()),
	}
	if state != want {
		m.Fatalf("Open: %+v, want %+v", state, want)
	}
	m.offsets = append(m.offsets, state.End)
}

func (m *machine) at(pos int64) stream.Offset { return stream.Offset{Edition: m.edition, Pos: pos} }

func (m *machine) append() {
	data := make([]byte, 1+m.r.IntN(60))
	for i := range data {
		data[i] = byte(m.r.IntN(256))
	}
	a := stream.Append{Data: data, Run: m.run, At: m.tail()}
	got, err := m.store.Append(m.Context(), m.key, a)
	if m.closed {
		is(m, "Append to a closed stream", err, stream.ErrClosed)
		return
	}
	m.bytes = append(m.bytes, data...)
	if m.keep > 0 {
		m.base = max(m.base, m.tail()-m.keep)
	}
	if err != nil || got.End != m.at(m.tail()) || got.Repeated {
		m.Fatalf("Append: %+v, %v, want the end %s", got, err, m.at(m.tail()))
	}
	m.last = a
	m.offsets = append(m.offsets, got.End)
}

// repeat sends once more what was sent last, and what cannot be a repeat.
func (m *machine) repeat() {
	if m.last.Run != m.run || len(m.last.Data) == 0 {
		return
	}
	got, err := m.store.Append(m.Context(), m.key, m.last)
	if err != nil || !got.Repeated || got.End != m.at(m.tail()) {
		m.Fatalf("Append again: %+v, %v, want a repeat that ends at %s", got, err, m.at(m.tail()))
	}
	other := m.last
	other.Data = bytes.Clone(other.Data)
	other.Data[0]++
	want := stream.ErrPlace
	if m.closed {
		want = stream.ErrClosed
	}
	_, err = m.store.Append(m.Context(), m.key, other)
	is(m, "Append of other bytes at the same place", err, want)
}

func (m *machine) oldRun() {
	_, err := m.store.Append(m.Context(), m.key, stream.Append{Data: []byte("late"), Run: m.run - 1, At: m.tail()})
	is(m, "Append of an earlier run", err, stream.ErrFenced)
	if m.run > 1 {
		_, err = m.store.Open(m.Context(), m.key, stream.Claim{ContentType: "text/plain", Run: m.run - 1})
		is(m, "Open of an earlier run", err, stream.ErrFenced)
	}
}

func (m *machine) close() {
	_, err := m.store.Append(m.Context(), m.key, stream.Append{Close: true, Run: m.run, At: m.tail()})
	is(m, "Close", err, nil)
	m.closed = true
}

// read reads from any place on.
func (m *machine) read() {
	from := stream.Offset{Edition: m.edition, Pos: m.r.Int64N(m.tail() + 2)}
	if m.r.IntN(8) == 0 && m.edition > 0 {
		from.Edition--
	}
	page, err := m.store.Read(m.Context(), m.key, from, m.r.IntN(300), false)
	if from.Edition < m.edition || from.Pos < m.base || from.Pos > m.tail() {
		is(m, "Read from what is not there", err, stream.ErrMoved)
		return
	}
	if err != nil || !bytes.Equal(page.Data, m.bytes[from.Pos:page.To.Pos]) || page.From != from || page.State.Closed != m.closed {
		m.Fatalf("Read from %s: %v: %d bytes up to %s are not what was written", from, err, len(page.Data), page.To)
	}
	whole, err := m.store.Read(m.Context(), m.key, stream.Start, 1<<20, false)
	if err != nil || !bytes.Equal(whole.Data, m.bytes[m.base:]) || whole.Ended() != m.closed {
		m.Fatalf("Read of all: %v, %d bytes, want %d", err, len(whole.Data), m.tail()-m.base)
	}
	if _, err := m.store.Read(m.Context(), stream.Key{Group: "g", Name: "other"}, from, 1, false); !errors.Is(err, stream.ErrNotFound) {
		m.Fatalf("Read of another stream: %v", err)
	}
}
