package live_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
)

// signup is a form that may be filled in wrongly.
type signup struct {
	Email  string
	Age    string
	Kept   string `live:"persist"`
	Done   int
	Errors live.FieldErrors
}

// signups has an action for each way of saying what is wrong. The data's "how"
// names it.
type signups struct{}

func (signups) Join(s signup, ctx *live.Context) (signup, error) {
	s.Email, s.Age, s.Kept = ctx.GetString("email"), ctx.GetString("age"), ctx.GetString("email")
	wrong := live.UserError{Text: "That is no address.", Fields: live.FieldErrors{"email": "<needs an @>"}}
	switch ctx.GetString("how") {
	case "value":
		return s, wrong
	case "pointer":
		return s, &wrong
	case "wrapped":
		return s, fmt.Errorf("join: %w", wrong)
	case "joined":
		return s, errors.Join(errors.New("x"), &wrong)
	case "text alone":
		return s, live.UserError{Text: "Full."}
	case "nothing said":
		return s, live.UserError{}
	case "another error":
		return s, errors.New("secret")
	}
	s.Done++
	return s, nil
}

const signupHTML = `<form method="post"><input name="how" value=""><input name="email" value="{{.Email}}">{{with .Errors.email}}<b>{{.}}</b>{{end}}
<input name="age" value="{{.Age}}"><button id="join" name="live-action" value="Join">Join</button></form><p>done={{.Done}} kept={{.Kept}} n={{len .Errors}}</p>`

// userErrors lists what an action may return: the text that the user reads, and
// the text at the field. Of another error nothing is kept.
func userErrors() map[string]struct{ text, field string } {
	return map[string]struct{ text, field string }{
		"value":         {"That is no address.", "<needs an @>"},
		"pointer":       {"That is no address.", "<needs an @>"},
		"wrapped":       {"That is no address.", "<needs an @>"},
		"joined":        {"That is no address.", "<needs an @>"},
		"text alone":    {"Full.", ""},
		"nothing said":  {"Please check what you have entered.", ""},
		"another error": {"That did not work. Please try again.", ""},
	}
}

// TestUserErrorsWithJavaScript: the state is kept, the message fails, and the
// next action begins without field errors.
func TestUserErrorsWithJavaScript(t *testing.T) {
	t.Parallel()
	for how, want := range userErrors() {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := memStore(t)
				n := startNode(t, s, live.Config{})
				v := view(t, n, signups{}, signup{}, signupHTML)
				p := livetest.Open(t, v, "/")
				before := p.Text()
				failed := p.Try("Join", map[string]any{"how": how, "email": "ann", "age": "x"})
				if failed == nil || failed.Message != want.text {
					t.Fatalf("the answer is %v, want %q", failed, want.text)
				}
				if how == "another error" {
					if got := p.Text(); got != before || failed.Code != "error" {
						t.Errorf("the page shows %q with code %s", got, failed.Code)
					}
					return
				}
				check := func(when string) {
					t.Helper()
					if html := p.HTML(); !strings.Contains(html, `value="ann"`) || !strings.Contains(html, "kept=ann") || p.Has("b") != (want.field != "") {
						t.Errorf("%s: %s", when, html)
					}
				}
				if failed.Code != "rejected" {
					t.Errorf("code %s", failed.Code)
				}
				check("after the answer")
				if want.field != "" && p.TextOf("b") != want.field {
					t.Errorf("at the field: %q", p.TextOf("b"))
				}
				other := startNode(t, s, live.Config{})
				p.Reconnect(view(t, other, signups{}, signup{}, signupHTML))
				check("on another node")
				if failed := p.Try("Join", map[string]any{"email": "ann@x"}); failed != nil {
					t.Fatal(failed)
				}
				if got := p.Text(); !strings.Contains(got, "done=1 kept=ann@x n=0") {
					t.Errorf("after the right one: %q", got)
				}
			})
		})
	}
}

// TestUserErrorsWithoutJavaScript: the answer is the page, with status 422, what
// was typed, and what is wrong.
func TestUserErrorsWithoutJavaScript(t *testing.T) {
	t.Parallel()
	for how, want := range userErrors() {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := startNode(t, memStore(t), live.Config{})
				v := view(t, n, signups{}, signup{}, signupHTML)
				b := livetest.NewBrowser(t)
				d := b.Get(v, "/").Submit("#join", map[string]string{"how": how, "email": `a"n<n`, "age": "x"})
				if how == "another error" {
					if d.Status != http.StatusOK || !strings.Contains(d.Text(), want.text) || strings.Contains(d.HTML, `value="a`) {
						t.Errorf("status %d: %s", d.Status, d.HTML)
					}
					return
				}
				if d.Status != http.StatusUnprocessableEntity || d.Header.Get("Location") != "" {
					t.Errorf("status %d to %q", d.Status, d.Header.Get("Location"))
				}
				if !strings.Contains(d.Text(), want.text) || !strings.Contains(d.Text(), want.field) || !strings.Contains(d.HTML, `value="a&#34;n&lt;n"`) || d.Has("b") != (want.field != "") {
					t.Errorf("the page: %s", d.HTML)
				}
				d = d.Submit("#join", map[string]string{"email": "ann@x"})
				if got := d.Text(); d.Status != http.StatusOK || !strings.Contains(got, "kept=ann@x n=0") || strings.Contains(got, want.text) {
					t.Errorf("after the right one: status %d, %q", d.Status, got)
				}
			})
		})
	}
}

// TestUserErrorOfAPush: nobody is there to correct it, so it is not tried again.
func TestUserErrorOfAPush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memStore(t)
		n := startNode(t, s, live.Config{})
		b := livetest.NewBrowser(t)
		p := b.Open(view(t, n, signups{}, signup{}, signupHTML), "/")
		trigger(t, sessionOf(t, n, b), "Join", map[string]any{"how": "value", "email": "ann"})
		p.Wait("the error", func() bool { return len(p.State().Errors) > 0 })
		dead := deadLetters(t, s)
		if len(dead) != 1 || dead[0].Reason != push.ReasonRejected || dead[0].Attempts != 1 {
			t.Errorf("dead letters: %+v", dead)
		}
		if p.Has("b") || strings.Contains(p.HTML(), "ann") {
			t.Errorf("the page: %s", p.HTML())
		}
	})
}
