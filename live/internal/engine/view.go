package engine

import (
	"errors"
	"fmt"
	"reflect"
)

// View is what one connection shows: the tree of its last render, and no
// statics. It is not safe for concurrent use.
type View struct {
	set  *Set
	base tree
}

// ErrNoBase means that a View was asked for a patch before its first render.
var ErrNoBase = errors.New("engine: nothing rendered yet")

// NewView returns a view that shows nothing yet: call HTML, Rebase or Snapshot.
func (s *Set) NewView() *View { return &View{set: s} }

// HTML appends the first HTML of a page to dst, with the comments that let the
// client adopt it, and makes it the base of the next patch. On an error the
// base stays as it was and dst is returned unchanged.
func (v *View) HTML(dst []byte, state any) ([]byte, error) {
	r, err := v.render(state)
	if err != nil {
		return dst, err
	}
	dst = r.appendMarked(dst, 0)
	v.commit(r)
	return dst, nil
}

// Rebase renders state as the base of the next patch, for a client that shows
// it already.
func (v *View) Rebase(state any) error {
	r, err := v.render(state)
	if err != nil {
		return err
	}
	v.commit(r)
	return nil
}

// Hash returns a hash of the base's values, 0 before the first render. Equal
// renders of equal templates have equal hashes in every process.
func (v *View) Hash() uint64 {
	if len(v.base.insts) == 0 {
		return 0
	}
	return v.base.hash()
}

// Patch appends the patch that turns the base into the render of state, and
// makes that the base. changed is false, and nothing is appended, when they are
// equal. On an error, also a panic inside the template's functions, the base
// stays and dst is returned unchanged: half a patch is never sent.
func (v *View) Patch(dst []byte, state any) (out []byte, changed bool, err error) {
	if len(v.base.insts) == 0 {
		return dst, false, ErrNoBase
	}
	r, err := v.render(state)
	if err != nil {
		return dst, false, err
	}
	d, ok := v.set.differs.Get().(*differ)
	if !ok {
		d = &differ{}
		if v.set.dev {
			d.notes = func(where string) {
				v.set.note(where + ": rows have the same key: only the first of them keeps its element")
			}
		}
	}
	out, changed = d.diff(dst, &v.base, &r.tree)
	v.set.differs.Put(d)
	v.commit(r)
	return out, changed, nil
}

// Snapshot appends the whole of state's render as the client applies it by
// comparing: to a page of unknown content. It becomes the base.
func (v *View) Snapshot(dst []byte, state any) ([]byte, error) {
	r, err := v.render(state)
	if err != nil {
		return dst, err
	}
	dst = r.appendInstance(dst, 0)
	v.commit(r)
	return dst, nil
}

// commit makes a render the base and gives the renderer back.
func (v *View) commit(r *renderer) {
	v.base.copyFrom(&r.tree)
	v.set.renderers.Put(r)
}

// render executes the template into a pooled renderer.
func (v *View) render(state any) (*renderer, error) {
	if t := v.set.stateType; t != nil && reflect.TypeOf(state) != t {
		return nil, fmt.Errorf("engine: template %q is compiled for states of type %v, not %T", v.set.name, t, state)
	}
	e, err := v.set.executor()
	if err != nil {
		return nil, err
	}
	r, ok := v.set.renderers.Get().(*renderer)
	if !ok {
		r = &renderer{}
	}
	r.start(v.set)
	if len(v.set.memos) > 0 {
		e.run.begin(r, &v.base)
	}
	err = v.execute(e, r, state)
	v.set.release(e)
	if err != nil {
		v.set.renderers.Put(r)
		return nil, err
	}
	return r, nil
}

// execute runs the template. Functions, methods and iterators of the state may
// panic; where it happened is known from the last static written.
func (v *View) execute(e *executor, r *renderer, state any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("engine: template %s: panic: %v", r.where(), p)
		}
	}()
	if v.set.whole {
		r.beginWhole()
	}
	if err := e.root.Execute(r, state); err != nil {
		return fmt.Errorf("engine: render: %w", err)
	}
	if v.set.whole {
		r.endWhole()
	}
	return r.finish()
}
