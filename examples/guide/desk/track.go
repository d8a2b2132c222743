package main

import (
	"html/template"
	"net/http"

	"lastmile/push/pushhttp"
)

var trackPage = template.Must(template.New("track").Parse(`<!doctype html><html lang="en"><title>My orders</title>
<h1>My orders</h1>
<ul id="sent"></ul>
<script type="module" src="/track.js"></script></html>`))

// trackScript is the page's own script.
const trackScript = `import { open } from "/push/push.js";
open("/push", {
  actions: ["Sent"],
  on(action, data) {
    const item = document.createElement("li");
    item.textContent = data.text;
    document.getElementById("sent").append(item);
  },
});`

// track is a page without a state, a controller or a template of the library.
func (d *Desk) track() error {
	if _, err := d.app.Readers("/push/", pushhttp.Config{RequireActions: true}); err != nil {
		return err
	}
	d.app.Handle("GET /track", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = trackPage.Execute(w, nil) // the browser is gone: nobody to tell
	}))
	d.app.Handle("GET /track.js", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write([]byte(trackScript)) // the same
	}))
	return nil
}
