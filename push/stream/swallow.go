package stream

import (
	"bytes"
	"context"
	"fmt"
)

// jsonType is the content type of streams of items.
const jsonType = "application/json"

// old is what an earlier run has stored and the writer has not come to the end
// of yet. It is compared byte by byte, so a difference is found where it is.
type old struct {
	at         Offset // how much was swallowed
	begin, end int64  // what is there
	page       []byte // what follows at, as far as it was read
}

// swallow compares p with what is stored, and returns what is to be written of
// it. The caller holds mu.
func (w *Writer) swallow(p []byte) ([]byte, error) {
	for len(p) > 0 && w.old != nil {
		o := w.old
		if o.at.Pos >= o.end {
			w.old = nil
			break
		}
		if o.at.Pos < o.begin { // trimmed: nobody can tell
			n := min(int64(len(p)), o.begin-o.at.Pos)
			o.at.Pos += n
			p = p[n:]
			continue
		}
		if len(o.page) == 0 {
			if err := w.within(func(ctx context.Context) error { return w.recall(ctx, o) }); err != nil {
				return nil, w.keep(err)
			}
		}
		n := min(len(p), len(o.page))
		if !bytes.Equal(p[:n], o.page[:n]) {
			if err := w.within(w.diverge); err != nil {
				return nil, err
			}
			return p, nil
		}
		o.at.Pos += int64(n)
		o.page, p = o.page[n:], p[n:]
	}
	return p, nil
}

// recall reads what is stored behind o.at.
func (w *Writer) recall(ctx context.Context, o *old) error {
	return w.persist(ctx, func(ctx context.Context) error {
		page, err := w.store.Read(ctx, w.key, o.at, pageBytes, false)
		if err != nil {
			return err
		}
		if len(page.Data) == 0 {
			return fmt.Errorf("nothing stored at %s: %w", o.at, ErrPlace)
		}
		o.page = page.Data
		return nil
	})
}

// diverge begins a new edition with what was swallowed so far, which is what is
// stored up to there, or refuses. The caller holds mu; nothing was sent.
func (w *Writer) diverge(ctx context.Context) error {
	o := w.old
	if !w.cfg.Restart {
		return w.keep(fmt.Errorf("byte %d: %w", o.at.Pos, ErrDiverged))
	}
	same := make([]byte, 0, o.at.Pos-o.begin)
	for at := (Offset{Edition: o.at.Edition, Pos: o.begin}); at.Pos < o.at.Pos; {
		part := &old{at: at}
		if err := w.recall(ctx, part); err != nil {
			return w.keep(err)
		}
		part.page = part.page[:min(int64(len(part.page)), o.at.Pos-at.Pos)]
		same = append(same, part.page...)
		at.Pos += int64(len(part.page))
	}
	if err := w.reset(ctx); err != nil {
		return err
	}
	w.buf = same
	if len(same) > 0 {
		w.plan()
	}
	return nil
}
