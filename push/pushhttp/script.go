package pushhttp

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed" // for the scripts
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

//go:generate go run lastmile/internal/tools/clientbuild -modules -dir script

//go:embed script/dist/push.js
var pushJS []byte

//go:embed script/dist/useLastmile.js
var hookJS []byte

// The names of the scripts, the same as in the npm package script/.
const (
	scriptName = "push.js"
	hookName   = "useLastmile.js"
)

// script is a file that every page may load.
type script struct {
	tag           string
	plain, zipped []byte
}

func newScripts() (map[string]script, error) {
	all := map[string]script{}
	for name, body := range map[string][]byte{scriptName: pushJS, hookName: hookJS} {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err == nil {
			_, err = z.Write(body)
		}
		if err == nil {
			err = z.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("pushhttp: compress %s: %w", name, err)
		}
		sum := sha256.Sum256(body)
		all[name] = script{`"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, body, b.Bytes()}
	}
	return all, nil
}

// serve lets browsers ask whether a script has changed: its name stays.
func (s script) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("ETag", s.tag)
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Access-Control-Allow-Origin", "*") // a module of another origin needs it, and nothing here is secret
	if r.Header.Get("If-None-Match") == s.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	body := s.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = s.zipped
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a browser that has left comes back
}
