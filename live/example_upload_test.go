package live_test

import (
	"fmt"
	"net/http"
	"strings"

	"lastmile/internal/exampletest"
	"lastmile/live"
	"lastmile/live/livetest"
)

// Upload is the state of a page that shows what was uploaded.
type Upload struct{ File string }

// UploadPage has the page's actions.
type UploadPage struct{}

// Uploaded is pushed by the upload's handler.
func (UploadPage) Uploaded(s Upload, ctx *live.Context) (Upload, error) {
	s.File = ctx.GetString("file")
	return s, nil
}

// Any handler of the program reaches the pages of the browser that called it.
func ExampleHub_SessionOf() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	hub := exampleHub(t, live.Config{})
	view := exampleView(t, hub, UploadPage{}, Upload{}, `<p>{{.File}}</p>`, live.ViewConfig{PushOnly: []string{"Uploaded"}})
	upload := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := hub.SessionOf(w, r)
		if err == nil {
			err = session.TriggerAction("Uploaded", map[string]any{"file": r.URL.Query().Get("name")})
		}
		if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
		}
	})

	browser := livetest.NewBrowser(t)
	page := browser.Open(view, "/files")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/upload?name=notes.txt", strings.NewReader("..."))
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, _ := browser.Do(upload, r) //nolint:bodyclose // Do has read and closed it
	fmt.Println(answer.StatusCode)
	page.WaitText("notes.txt")
	fmt.Println(page.Text())
	// Output:
	// 200
	// notes.txt
}
