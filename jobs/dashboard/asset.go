package dashboard

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"
)

// serveAsset serves the console's page and files. The page is rewritten: links
// to font servers go, and the policy allows exactly the scripts it holds.
func (h *Handler) serveAsset(w http.ResponseWriter, r *http.Request, role Role, path string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	rec := &recorder{head: make(http.Header), code: http.StatusOK}
	h.console(role).ServeHTTP(rec, r)
	body := rec.body.Bytes()
	page := isPage(body)
	static := strings.HasPrefix(path, "/static/")
	if page && static {
		http.NotFound(w, r) // the console answers a missing file with its page
		return
	}
	head := w.Header()
	if t := rec.head.Get("Content-Type"); t != "" {
		head.Set("Content-Type", t)
	}
	switch {
	case strings.HasSuffix(path, ".svg"):
		head.Set("Content-Type", "image/svg+xml")
	case strings.HasSuffix(path, ".json"):
		head.Set("Content-Type", "application/json")
	}
	if static { // their names change with their content
		head.Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	if page {
		links := regexp.MustCompile(`<link[^>]*href="https?://[^>]*>`)
		body = links.ReplaceAll(body, nil)
		head.Set("Content-Type", "text/html; charset=utf-8")
		head.Set("Content-Security-Policy", policy(body))
		head.Set("X-Frame-Options", "DENY")
	}
	w.WriteHeader(rec.code)
	_, _ = w.Write(body) // the client is gone if this fails
}

// isPage tells the console's page from its other answers.
func isPage(body []byte) bool { return bytes.HasPrefix(body, []byte("<!doctype html")) }

// policy allows a page its own files and its inline scripts by their hashes.
// Its components write style elements as they go, hence 'unsafe-inline' there.
func policy(page []byte) string {
	var b strings.Builder
	b.WriteString("default-src 'none'; script-src 'self'")
	for _, m := range regexp.MustCompile(`(?s)<script>(.*?)</script>`).FindAllSubmatch(page, -1) {
		sum := sha256.Sum256(m[1])
		b.WriteString(" 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'")
	}
	b.WriteString("; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
		"manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	return b.String()
}

// recorder keeps a response.
type recorder struct {
	head http.Header
	code int
	body bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.head }
func (r *recorder) WriteHeader(code int)        { r.code = code }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
