package live

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strconv"

	"lastmile/live/internal/delivery"
	"lastmile/push"
)

// UserError is an error for the user: what they put in is not accepted. An action
// that returns one, as it is or wrapped, has its text shown, and the state that
// it returns is kept: there go the values that were typed. A form without
// JavaScript is answered by that page with status 422 instead of a redirect; with
// JavaScript the fields keep what was typed, and live-reset does not reset. Run by
// a push it is a rejection (push.ErrReject).
type UserError struct {
	// Text is shown as a flash. Defaults to a sentence that asks to check the
	// form.
	Text string
	// Fields are texts by the names of the fields that they are about. The first
	// field of type FieldErrors in the state has them until the next action of the
	// browser.
	Fields FieldErrors
}

// FieldErrors are texts about fields of a form, by the names of the fields. A
// template shows them like {{with .Errors.email}}<p>{{.}}</p>{{end}}.
type FieldErrors map[string]string

const checkForm = "Please check what you have entered."

// Error returns the text.
func (e UserError) Error() string {
	if e.Text == "" {
		return checkForm
	}
	return e.Text
}

// Is makes it a push.ErrReject: the same data will not do the next time either.
func (UserError) Is(target error) bool { return target == push.ErrReject }

// userError finds a UserError in an action's error.
func userError(err error) (UserError, bool) {
	if e, ok := errors.AsType[UserError](err); ok {
		return e, true
	}
	if e, ok := errors.AsType[*UserError](err); ok && e != nil {
		return *e, true
	}
	return UserError{}, false
}

// errorsField finds the state's field for FieldErrors, -1 for none.
func errorsField(t reflect.Type) int {
	for i := range t.NumField() {
		if f := t.Field(i); f.Type == reflect.TypeFor[FieldErrors]() && f.IsExported() && stored(f) {
			return i
		}
	}
	return -1
}

// withErrors returns a state with these field errors, nil for none.
func (m *model) withErrors(state any, fields FieldErrors) any {
	if m.errors < 0 || reflect.ValueOf(state).Field(m.errors).Len() == 0 && len(fields) == 0 {
		return state
	}
	v := reflect.New(m.state).Elem()
	v.Set(reflect.ValueOf(state))
	v.Field(m.errors).Set(reflect.ValueOf(fields))
	return v.Interface()
}

// runInput runs an action of the browser. What the user got wrong comes back
// beside an outcome that is kept.
func (p *page) runInput(ctx context.Context, who *visitor, h handler, state any, inv invocation) (out outcome, wrong *UserError, err error) {
	out, err = p.invoke(ctx, who, h, p.model.withErrors(state, nil), inv)
	e, ok := userError(err)
	if !ok {
		return out, nil, err
	}
	out.state = p.model.withErrors(out.state, e.Fields)
	out.encoded, err = p.encode(out.state)
	return out, &e, err
}

// inputOutcome is a run as package delivery wants it.
func inputOutcome(out outcome, err error) delivery.Outcome {
	if err != nil {
		out.fx = effects{flashes: out.fx.flashes}
	}
	return delivery.Outcome{State: out.state, Encoded: out.encoded, Effects: boxed(out.fx)}
}

// answerWrong answers a form without JavaScript by the page as the action has
// left it.
func (p *page) answerWrong(w http.ResponseWriter, r *http.Request, who *visitor, m *mounted, flashes []Flash) {
	w.Header().Set("Cache-Control", "private, no-cache")
	document, err := p.document(r.Context(), who, m, flashes)
	if err != nil {
		p.hub.fail(w, r, p.name, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(document)))
	w.WriteHeader(http.StatusUnprocessableEntity)
	_, _ = w.Write([]byte(document)) // a browser that has left comes back
}
