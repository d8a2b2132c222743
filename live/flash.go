package live

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"lastmile/push/cookie"
)

// Flash is a short message to the user, shown once.
type Flash struct {
	// Kind is the layout's to style: "info", "error".
	Kind string
	// Text is plain text.
	Text string
}

// MarshalJSON writes the wire form, [kind, text].
func (f Flash) MarshalJSON() ([]byte, error) { return json.Marshal([2]string{f.Kind, f.Text}) }

// UnmarshalJSON reads the wire form.
func (f *Flash) UnmarshalJSON(b []byte) error {
	var pair [2]string
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	f.Kind, f.Text = pair[0], pair[1]
	return nil
}

const (
	flashCookie = "lastmile_flash"
	// maxFlashCookie keeps the cookie below what browsers store.
	maxFlashCookie = 3000
	maxFlashes     = 16
)

// flashPurpose is what the signature of such a cookie is for. Without it
// whoever can plant a cookie could put words into the site's mouth.
const flashPurpose = "live flash 1"

// setFlashCookie hands messages to the page that follows a redirect. Without
// JavaScript there is nothing else to carry them.
func (h *Hub) setFlashCookie(w http.ResponseWriter, r *http.Request, flashes []Flash) {
	flashes = flashes[max(0, len(flashes)-maxFlashes):]
	for len(flashes) > 0 {
		b, err := json.Marshal(flashes)
		if err != nil {
			return
		}
		b = append(h.sign(flashPurpose, string(b)), b...)
		if value := base64.RawURLEncoding.EncodeToString(b); len(value) <= maxFlashCookie {
			http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure under TLS; plain http is for development
				Name: cookie.HostName(r, flashCookie), Value: value, Path: "/", MaxAge: 60,
				HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: cookie.Secure(r),
			})
			return
		}
		if len(flashes) > 1 {
			flashes = flashes[1:]
			continue
		}
		text := flashes[0].Text // better a part of it than nothing
		flashes = []Flash{{Kind: flashes[0].Kind, Text: strings.ToValidUTF8(text[:len(text)/2], "") + "…"}}
		if len(text) < len("…")*4 {
			return
		}
	}
}

// takeFlashCookie returns the messages that came with a redirect, once.
func (h *Hub) takeFlashCookie(w http.ResponseWriter, r *http.Request) []Flash {
	c, err := r.Cookie(cookie.HostName(r, flashCookie))
	if err != nil {
		return nil
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // it takes the other one back
		Name: cookie.HostName(r, flashCookie), Path: "/", MaxAge: -1,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: cookie.Secure(r),
	})
	b, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || len(b) < sha256.Size || !hmac.Equal(b[:sha256.Size], h.sign(flashPurpose, string(b[sha256.Size:]))) {
		return nil
	}
	var flashes []Flash
	if json.Unmarshal(b[sha256.Size:], &flashes) != nil || len(flashes) > maxFlashes {
		return nil
	}
	return flashes
}
