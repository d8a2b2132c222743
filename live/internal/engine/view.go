package engine

import (
	"errors"
	"fmt"
	"reflect"

	"lastmile/live/internal/engine/share"
)

// View is what one connection shows: the tree of its last render, and no
// statics. It is not safe for concurrent use.
type View struct {
	set  *Set
	id   uint64
	base *tree // nil before the first render
	// shared is the render that base belongs to when other views may show it
	// too; nil when base is the view's own.
	shared *share.Render[tree]
}

// ErrNoBase means that a View was asked for a patch before its first render.
var ErrNoBase = errors.New("engine: nothing rendered yet")

// NewView returns a view that shows nothing yet: call HTML, Rebase or Snapshot.
func (s *Set) NewView() *View { return &View{set: s, id: s.views.Add(1)} }

// rendered is a render on its way to become the base.
type rendered struct {
	*tree
	shared *share.Render[tree] // whose value the tree is; nil when it is r's
	r      *renderer           // nil when another view has rendered the tree
}

// HTML appends the first HTML of a page to dst, with the comments that let the
// client adopt it, and makes it the base of the next patch. On an error the
// base stays as it was and dst is returned unchanged.
func (v *View) HTML(dst []byte, state any) ([]byte, error) {
	n, err := v.next(state)
	if err != nil {
		return dst, err
	}
	dst = n.appendMarked(dst, 0)
	v.commit(n)
	return dst, nil
}

// Rebase renders state as the base of the next patch, for a client that shows
// it already.
func (v *View) Rebase(state any) error {
	n, err := v.next(state)
	if err != nil {
		return err
	}
	v.commit(n)
	return nil
}

// Hash returns a hash of the base's values, 0 before the first render. Equal
// renders of equal templates have equal hashes in every process.
func (v *View) Hash() uint64 {
	if v.base == nil {
		return 0
	}
	return v.base.hash()
}

// Patch appends the patch that turns the base into the render of state, and
// makes that the base. changed is false, and nothing is appended, when they are
// equal. On an error, also a panic inside the template's functions, the base
// stays and dst is returned unchanged: half a patch is never sent.
func (v *View) Patch(dst []byte, state any) (out []byte, changed bool, err error) {
	if v.base == nil {
		return dst, false, ErrNoBase
	}
	n, err := v.next(state)
	if err != nil {
		return dst, false, err
	}
	switch {
	case n.tree == v.base:
		out = dst
	case n.shared != nil && v.shared != nil:
		var patch []byte
		patch, changed = v.set.shared.Patch(v.shared, n.shared, func() ([]byte, bool) { return v.diff(nil, n) })
		dst = append(dst, patch...)
		out = dst
	default:
		out, changed = v.diff(dst, n)
	}
	v.commit(n)
	return out, changed, nil
}

// diff appends the patch from the base to n.
func (v *View) diff(dst []byte, n rendered) (out []byte, changed bool) {
	r := n.r
	if r == nil {
		r = v.set.renderer()
		defer v.set.renderers.Put(r)
		r.kept = r.kept[:0]
	}
	return r.differ.diff(dst, v.base, n.tree, r.kept)
}

// Snapshot appends the whole of state's render as the client applies it by
// comparing: to a page of unknown content. It becomes the base.
func (v *View) Snapshot(dst []byte, state any) ([]byte, error) {
	n, err := v.next(state)
	if err != nil {
		return dst, err
	}
	if n.shared == nil {
		dst = n.appendInstance(dst, 0)
	} else {
		snapshot, _ := v.set.shared.Patch(nil, n.shared, func() ([]byte, bool) { return n.appendInstance(nil, 0), true })
		dst = append(dst, snapshot...)
	}
	v.commit(n)
	return dst, nil
}

// commit makes a render the base and gives the renderer back.
func (v *View) commit(n rendered) {
	own := v.base != nil && v.shared == nil
	v.shared = n.shared
	switch {
	case n.shared != nil:
		v.base = n.tree
	case own && n.fits():
		v.base, n.r.tree = n.tree, v.base
	case own:
		v.base.copyFrom(n.tree)
	default:
		v.base = new(tree)
		v.base.copyFrom(n.tree)
	}
	if n.r != nil {
		v.set.renderers.Put(n.r)
	}
}

// next renders state, unless another view has done so.
func (v *View) next(state any) (rendered, error) {
	if t := v.set.stateType; t != nil && reflect.TypeOf(state) != t {
		return rendered{}, fmt.Errorf("engine: template %q is compiled for states of type %v, not %T", v.set.name, t, state)
	}
	if table := v.set.shared; table != nil && !table.Alone(v.id) {
		if r := table.Find(v.id, v.shared, v.base == nil, state); r != nil {
			return v.nextShared(r, state)
		}
	}
	r, err := v.render(state)
	if err != nil {
		return rendered{}, err
	}
	return rendered{tree: r.tree, r: r}, nil
}

// nextShared returns a render that views share. The first that needs it makes
// it.
func (v *View) nextShared(shared *share.Render[tree], state any) (rendered, error) {
	var r *renderer
	err := v.set.shared.Fill(shared, func(t *tree) (err error) {
		if r, err = v.render(state); err == nil {
			t.copyFrom(r.tree)
		}
		return err
	})
	if err != nil {
		return rendered{}, err
	}
	return rendered{&shared.Value, shared, r}, nil
}

// renderer returns a pooled one.
func (s *Set) renderer() *renderer {
	if r, ok := s.renderers.Get().(*renderer); ok {
		return r
	}
	r := &renderer{tree: &tree{set: s}}
	if s.dev {
		r.differ.notes = func(where string) {
			s.note(where + ": rows have the same key: only the first of them keeps its element")
		}
	}
	return r
}

// render executes the template into a renderer.
func (v *View) render(state any) (*renderer, error) {
	r := v.set.renderer()
	r.start()
	err := v.run(r, state)
	if err != nil {
		v.set.renderers.Put(r)
		return nil, err
	}
	return r, nil
}

// run has an executor execute the template. Only row memos tie one to a render:
// without them the first serves all.
func (v *View) run(r *renderer, state any) error {
	if len(v.set.memos) == 0 {
		return v.execute(v.set.idle[0], r, state)
	}
	e, err := v.set.executor()
	if err != nil {
		return err
	}
	e.run.begin(r, v.base)
	defer v.set.release(e)
	return v.execute(e, r, state)
}

// execute runs the template. Functions, methods and iterators of the state may
// panic; where it happened is known from the last static written.
func (v *View) execute(e *executor, r *renderer, state any) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if p := recover(); p != nil {
			err = fmt.Errorf("engine: template %s: panic: %v", r.where(), p)
		}
	}()
	if v.set.whole {
		r.beginWhole()
	}
	err = e.root.Execute(r, state)
	returned = true
	if err != nil {
		return fmt.Errorf("engine: render: %w", err)
	}
	if v.set.whole {
		r.endWhole()
	}
	return r.finish()
}
