package live

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"lastmile/live/client"
	"lastmile/live/internal/engine"
	"lastmile/push"
)

// The query keys of what a view's address serves besides the page.
const (
	queryLive  = "_live"
	queryToken = "t"
)

// asset is a file that never changes under its name.
type asset struct {
	kind          string
	plain, zipped []byte
}

// assets are the files of one view: the client, in its parts, and the manifest.
type assets struct {
	script string // the client's name
	lane   string // that of its module for connections without WebSockets
	// address is that of its module for pages that follow their address, disable
	// that for templates with live-disable.
	address, disable string
	files            map[string]asset
}

func newAssets(set *engine.Set) (*assets, error) {
	script, scriptBody := client.Script()
	lane, laneBody := client.Lane()
	address, addressBody := client.Address()
	disable, disableBody := client.Disable()
	a := &assets{script: script, lane: lane, address: address, disable: disable, files: map[string]asset{}}
	for name, body := range map[string][]byte{script: scriptBody, lane: laneBody, address: addressBody, disable: disableBody} {
		if err := a.add(name, "text/javascript; charset=utf-8", body); err != nil {
			return nil, err
		}
	}
	return a, a.add("manifest."+set.Fingerprint()+".json", "application/json", set.Manifest())
}

func (a *assets) add(name, kind string, body []byte) error {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = z.Write(body)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return fmt.Errorf("compress %s: %w", name, err)
	}
	a.files[name] = asset{kind, body, b.Bytes()}
	return nil
}

// serveAsset serves the client, the manifest, and the picture that
// acknowledges a page.
func (p *page) serveAsset(w http.ResponseWriter, r *http.Request, name string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if name == "ack" {
		p.serveAck(w, r)
		return
	}
	file, ok := p.assets.files[name]
	if !ok {
		// Another version of the program may have it.
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "no such asset", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", file.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("Vary", "Accept-Encoding")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	body := file.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		body = file.zipped
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a browser that has left comes back
}

// pixel is a transparent GIF of one point.
const pixel = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

// serveAck takes the acknowledgement of a page that arrived in a browser
// without JavaScript.
func (p *page) serveAck(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	id, err := p.hub.identify(w, r)
	if err != nil {
		p.hub.fail(w, r, p.name, err)
		return
	}
	done, err := p.hub.parseAckToken(r.URL.Query().Get(queryToken), id, p.name)
	if err != nil {
		http.Error(w, "parameter "+strconv.Quote(queryToken)+": not a token of this page", http.StatusForbidden)
		return
	}
	if err := p.hub.deps.Node.Ack(r.Context(), id.Session, push.Ack{UpTo: done.UpTo, Skipped: done.Skipped}); err != nil {
		p.hub.fail(w, r, p.name, err)
		return
	}
	w.Header().Set("Content-Type", "image/gif")
	_, _ = w.Write([]byte(pixel)) // the acknowledgement is what counts
}
