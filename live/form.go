package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"lastmile/push"
)

// fieldAction names the action in a form, as the value of a button or a hidden
// field.
const fieldAction = "live-action"

// serveForm runs an action for a browser without JavaScript and redirects it to
// the page, so that a reload repeats nothing. Of the state only the persisted
// fields last, but for what the user got wrong: that is answered by the page.
func (p *page) serveForm(w http.ResponseWriter, r *http.Request) {
	if err := p.hub.origins.Check(r); err != nil {
		http.Error(w, "cross-origin form refused", http.StatusForbidden)
		return
	}
	action, data, err := p.readForm(w, r)
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
			status, err = http.StatusRequestEntityTooLarge, fmt.Errorf("form is larger than %d bytes", tooLarge.Limit)
		}
		http.Error(w, err.Error(), status)
		return
	}
	id, err := p.hub.identify(w, r)
	if err != nil {
		p.hub.fail(w, r, p.name, err)
		return
	}
	if !p.hub.room.lets(id) {
		p.hub.metrics.turnedAway.Inc()
		p.hub.fail(w, r, p.name, errFull)
		return
	}
	who := &visitor{Identity: id, view: p.name, conn: push.NewID(), request: keepRequest(r)}
	m, err := p.open(r.Context(), who, "form")
	if err != nil {
		p.hub.fail(w, r, p.name, err)
		return
	}
	target := pageAddress(r)
	if m.fx.navigate == nil || m.sentOff != nil {
		opened := m.fx
		m.fx = effects{flashes: m.rejected} // the rest comes again with the page that follows
		wrong, err := p.runForm(r.Context(), who, m, action, data)
		if err != nil {
			p.hub.fail(w, r, p.name, err)
			return
		}
		p.hub.publish(r.Context(), m.fx.publishes)
		if wrong && m.fx.navigate == nil {
			flashes := m.fx.flashes
			opened.add(effects{events: m.fx.events, topics: m.fx.topics})
			m.fx = opened
			p.answerWrong(w, r, who, m, slices.Concat(opened.flashes, flashes))
			return
		}
	}
	if m.fx.navigate != nil {
		target = m.fx.navigate.URL
	} else if to := m.fx.patch.patched(r); to != "" {
		target = to
	}
	p.hub.setFlashCookie(w, r, m.fx.flashes)
	http.Redirect(w, r, target, http.StatusSeeOther) //nolint:gosec // pageAddress makes a local path; Redirect's is the program's
}

// readForm returns the form's action and its other fields as an object.
func (p *page) readForm(w http.ResponseWriter, r *http.Request) (string, json.RawMessage, error) {
	limit := int64(p.hub.cfg.MaxMessageBytes)
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	err := r.ParseForm() // ParseMultipartForm would hide its error
	if err == nil {
		err = r.ParseMultipartForm(limit) //nolint:gosec // the body is bounded above
	}
	if err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return "", nil, fmt.Errorf("form cannot be read: %w", err)
	}
	action := r.PostForm.Get(fieldAction)
	switch {
	case action == "":
		return "", nil, fmt.Errorf("form has no field %q", fieldAction)
	case len(action) > push.MaxActionLen:
		return "", nil, fmt.Errorf("field %q has %d bytes, at most %d are allowed", fieldAction, len(action), push.MaxActionLen)
	case p.model.actions[action] == nil || p.pushOnly[action]:
		return "", nil, fmt.Errorf("field %q: no such action", fieldAction)
	}
	data, err := formData(r.PostForm)
	return action, data, err
}

// formData turns fields into an object; a name that occurs several times
// becomes a list, as in the client.
func formData(form url.Values) (json.RawMessage, error) {
	data := make(map[string]any, len(form))
	for name, values := range form {
		switch {
		case name == fieldAction:
		case len(values) == 1:
			data[name] = values[0]
		default:
			data[name] = values
		}
	}
	b, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("form cannot be encoded: %w", err)
	}
	return b, nil
}

// runForm runs the action on a mounted state and stores the persisted fields.
// An action that fails is told to the user by a flash. wrong says that the page
// has the answer.
func (p *page) runForm(ctx context.Context, who *visitor, m *mounted, action string, data json.RawMessage) (wrong bool, err error) {
	inv := invocation{source: sourceForm, action: action, data: data, cause: cause{"form", push.NewID()}}
	out, input, err := p.runInput(ctx, who, p.model.actions[action], m.State, inv)
	m.fx.flashes = append(m.fx.flashes, out.fx.flashes...)
	if err != nil {
		p.logFailure(ctx, who, inv, 1, err)
		m.fx.flashes = append(m.fx.flashes, Flash{"error", p.hub.publicText(inv, err)})
		return false, nil
	}
	m.fx.navigate, m.fx.patch = out.fx.navigate, out.fx.patch
	m.fx.publishes = append(m.fx.publishes, out.fx.publishes...)
	if input != nil {
		m.fx.flashes = append(m.fx.flashes, Flash{"error", input.Error()})
		m.fx.events, m.fx.topics = out.fx.events, out.fx.topics
	}
	if err := m.SaveForm(ctx, out.state); err != nil {
		return false, err
	}
	m.State, m.Encoded = out.state, out.encoded
	return input != nil, nil
}
