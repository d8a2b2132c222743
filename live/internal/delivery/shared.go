package delivery

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"lastmile/push"
)

// Equal reports whether all fields are the same.
func (v Values) Equal(other Values) bool {
	return slices.EqualFunc(v, other, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) })
}

// merge takes from mine the fields that differ from base, and the others from
// theirs: what an action changed wins, field by field.
func merge(base, mine, theirs Values) Values {
	out := slices.Clone(theirs)
	for i := range mine {
		if out[i] == nil || !bytes.Equal(mine[i], base[i]) {
			out[i] = mine[i]
		}
	}
	return out
}

// View is what is known of a view's record of shared fields.
type View struct {
	Fields  Values
	Cursor  push.Seq
	Version uint64
	// Skipped are the pushes up to Cursor that the view had no action for when
	// it passed them: a later version of the program may have one.
	Skipped []push.Seq
	// Applied are the IDs of the latest pushes that went into Fields.
	Applied Applied
}

// maxViewSkipped bounds what a record remembers of skipped pushes.
const maxViewSkipped = 64

// viewDocument is the stored form.
type viewDocument struct {
	Fields  map[string]json.RawMessage `json:"fields"`
	Skipped []push.Seq                 `json:"skipped,omitempty"`
	Applied []byte                     `json:"applied,omitempty"`
}

// decodeView reads a record.
func decodeView(names []string, r push.ViewRecord) (View, error) {
	v := View{Fields: make(Values, len(names)), Cursor: r.Cursor, Version: r.Version}
	if len(r.State) == 0 {
		return v, nil
	}
	var doc viewDocument
	if err := json.Unmarshal(r.State, &doc); err != nil {
		return View{}, fmt.Errorf("live: decode view record: %w", err)
	}
	for i, name := range names {
		v.Fields[i] = doc.Fields[name]
	}
	v.Skipped, v.Applied = doc.Skipped, DecodeApplied(doc.Applied, r.Cursor)
	return v, nil
}

// encode writes a record.
func (v View) encode(names []string) (push.ViewRecord, error) {
	doc := viewDocument{Fields: make(map[string]json.RawMessage, len(names)), Skipped: v.Skipped, Applied: v.Applied.Encode()}
	if n := len(doc.Skipped); n > maxViewSkipped {
		doc.Skipped = doc.Skipped[n-maxViewSkipped:]
	}
	for i, name := range names {
		if v.Fields[i] != nil {
			doc.Fields[name] = v.Fields[i]
		}
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return push.ViewRecord{}, fmt.Errorf("live: encode view record: %w", err)
	}
	return push.ViewRecord{State: b, Cursor: v.Cursor, Version: v.Version}, nil
}

// holds reports whether a push's effect is in the fields.
func (v *View) holds(e push.Entry) bool {
	return (e.Seq <= v.Cursor && !slices.Contains(v.Skipped, e.Seq)) || v.Applied.has(e)
}

// LoadView reads the record of a view's shared fields, if the view has any.
func LoadView(ctx context.Context, d *Deps, k Key, fields Fields) (View, error) {
	if len(fields.Names()) == 0 {
		return View{}, nil
	}
	ctx, cancel := d.store(ctx)
	defer cancel()
	r, err := d.States.LoadView(ctx, k.Session, k.View)
	if err != nil {
		return View{}, fmt.Errorf("live: load view %q: %w", k.View, err)
	}
	return decodeView(fields.Names(), r)
}

// shared are the shared fields of one page: as the store had them last, and what
// has become of them since. It is for sockets, GETs and POSTs.
type shared struct {
	fields Fields
	// view is the record as it was read or written last, base the page's fields
	// as they were then.
	view View
	base Values
	// skipped and applied are the pushes since, that the view has no action for
	// and that went into the fields.
	skipped []push.Seq
	applied Applied
	// before and after are the fields around a click that is not stored yet.
	clicked       bool
	before, after Values
	// oldest is the version at which the page met the record, heard the one that
	// it was told of last, and missed says that there may be more that it was not
	// told of.
	oldest, heard uint64
	missed        bool
}

// hear notes that the record has been stored at a version, 0 for any.
func (sh *shared) hear(version uint64) {
	if version == 0 {
		sh.missed = true
		return
	}
	sh.heard = version
}

// stale reports whether the record may have changed since the page read it. What
// is told of the page's own commits is late, as a rule. A record that has begun
// anew, because it had expired, counts from the start again.
func (sh *shared) stale() bool {
	return sh.missed || (sh.heard != 0 && (sh.heard < sh.oldest || sh.heard > sh.view.Version))
}

// met notes that the page has the record at a version.
func (sh *shared) met(version uint64) {
	if sh.oldest == 0 || version < sh.view.Version {
		sh.oldest = version
	}
}

// none reports whether the view shares no fields.
func (sh *shared) none() bool { return len(sh.fields.Names()) == 0 }

// skip notes a push that the view has no action for.
func (sh *shared) skip(seq push.Seq) {
	if slices.Contains(sh.skipped, seq) {
		return
	}
	sh.skipped = append(sh.skipped, seq)
	sh.skipped = sh.skipped[max(0, len(sh.skipped)-maxViewSkipped):] // more are not stored
}

// unskip notes that the page has run a push after all.
func (sh *shared) unskip(seq push.Seq) {
	sh.view.Skipped = slices.DeleteFunc(sh.view.Skipped, func(s push.Seq) bool { return s == seq })
}

// next returns what is to be stored for a state at a place, or false when the
// fields are as they were.
func (sh *shared) next(state any, place push.Seq) (View, bool, error) {
	now, err := sh.fields.Of(state)
	if err != nil || now.Equal(sh.base) {
		return sh.view, false, err
	}
	v := View{Fields: now, Cursor: max(sh.view.Cursor, place), Version: sh.view.Version, Applied: sh.view.Applied.join(sh.applied)}
	for _, s := range slices.Concat(sh.view.Skipped, sh.skipped) {
		if s <= v.Cursor && !slices.Contains(v.Skipped, s) {
			v.Skipped = append(v.Skipped, s)
		}
	}
	return v, true, nil
}

// stored notes that the store has a view.
func (sh *shared) stored(v View, version uint64) {
	sh.met(version)
	v.Version = version
	sh.view, sh.base, sh.skipped, sh.applied = v, v.Fields, nil, nil
}

// adopt takes a record's fields into a state. fellBack says that a store without
// the record may have had it.
func (sh *shared) adopt(state any, v View, fellBack bool) (any, error) {
	if v.Version == 0 && sh.view.Version > 0 && fellBack {
		v.Fields = sh.fields.Defaults()
	}
	state = sh.fields.With(state, v.Fields)
	base, err := sh.fields.Of(state)
	if err != nil {
		return nil, err
	}
	if v.Version == 0 {
		base = sh.fields.Defaults() // there is no record: what the state has is new
	}
	sh.met(v.Version)
	sh.view, sh.base, sh.applied = v, base, nil
	return state, nil
}

// run runs a push. When the fields hold its effect already, from another tab or
// a page that never arrived, it leaves them alone.
func (sh *shared) run(ctx context.Context, p Program, state any, e push.Entry, held bool) (Outcome, error) {
	if !held {
		return p.Run(ctx, state, e, FromPush)
	}
	before, err := sh.fields.Of(state)
	if err != nil {
		return Outcome{}, err
	}
	out, err := p.Run(ctx, state, e, FromPush)
	if err != nil {
		return out, err
	}
	out.State = sh.fields.With(out.State, before)
	out.Encoded, err = p.Encode(out.State)
	return out, err
}

// only takes of a run's result the shared fields alone, on top of a state whose
// own fields hold the push already.
func (sh *shared) only(ctx context.Context, p Program, encoded []byte, out Outcome) (Outcome, error) {
	fields, err := sh.fields.Of(out.State)
	if err != nil {
		return out, err
	}
	before, err := p.Decode(encoded)
	if err != nil {
		return out, err
	}
	state := sh.fields.With(before, fields)
	if encoded, err = p.Encode(state); err != nil {
		return out, err
	}
	state, err = p.Load(ctx, state)
	return Outcome{State: state, Encoded: encoded}, err // its effects happened when the page applied it
}

// save stores a view alone, without a connection. A conflict comes with the view
// that stands in its way.
func (sh *shared) save(ctx context.Context, d *Deps, k Key, v View) (View, error) {
	r, err := v.encode(sh.fields.Names())
	if err != nil {
		return v, err
	}
	ctx, cancel := d.store(ctx)
	defer cancel()
	res, err := d.States.Commit(ctx, push.Commit{Conn: push.ConnRecord{Session: k.Session, View: k.View}, View: &r, ViewTTL: d.SharedTTL})
	switch {
	case errors.Is(err, push.ErrStateConflict):
		d.Meter.Committed("conflict")
		theirs, bad := decodeView(sh.fields.Names(), res.View)
		return theirs, errors.Join(err, bad)
	case err != nil:
		d.Meter.Committed("error")
		return v, fmt.Errorf("live: store view %q: %w", k.View, err)
	}
	d.Meter.Committed("ok")
	sh.stored(v, res.View.Version)
	d.Node.Stored(k.Session, k.View, res.View.Version)
	return v, nil
}
