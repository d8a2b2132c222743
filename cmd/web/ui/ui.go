// Package ui is the look of the reference application: the layout that all
// pages share, its style sheet, and the few words that templates need to write
// numbers and times.
package ui

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastmile/live"
)

var (
	//go:embed app.css
	css []byte
	//go:embed icon.svg
	icon []byte
	//go:embed layout.html
	layoutHTML string
	//go:embed message.html
	messageHTML string
)

// Link is an entry of the navigation.
type Link struct{ View, Path, Label string }

// Links are the entries of the navigation, in order.
func Links() []Link {
	return []Link{
		{"home", "/", "Start"},
		{"reports", "/reports", "Reports"},
		{"slow", "/slow", "Slow load"},
		{"timer", "/timer", "Timer"},
		{"webhook", "/webhook", "Webhook"},
		{"board", "/board", "Board"},
		{"plain", "/plain", "Front ends"},
		{"guide", "/guide/", "Guide"},
		{"ops", "/ops", "Operators"},
	}
}

// asset is a file that is served under a name with its content's hash, so that
// browsers may keep it for ever.
func asset(name string, content []byte) string {
	sum := sha256.Sum256(content)
	base, ext, _ := strings.Cut(name, ".")
	return "/static/" + base + "." + hex.EncodeToString(sum[:6]) + "." + ext
}

// UI renders the shared frame. It is safe for concurrent use.
type UI struct {
	layout, message *template.Template
	log             *slog.Logger
}

// New parses the templates. log may be nil: then slog.Default() is used.
func New(log *slog.Logger) (*UI, error) {
	if log == nil {
		log = slog.Default()
	}
	layout, err := template.New("layout").Funcs(Funcs()).Parse(layoutHTML)
	if err != nil {
		return nil, fmt.Errorf("ui: layout: %w", err)
	}
	message, err := template.New("message.html").Parse(messageHTML)
	if err != nil {
		return nil, fmt.Errorf("ui: message: %w", err)
	}
	return &UI{layout: layout, message: message, log: log}, nil
}

// Layout is the frame around every live page.
func (u *UI) Layout() *template.Template { return u.layout }

// Register serves the style sheet and the icon.
func (u *UI) Register(mux *http.ServeMux) {
	for name, content := range map[string][]byte{"app.css": css, "icon.svg": icon} {
		kind := "text/css; charset=utf-8"
		if strings.HasSuffix(name, ".svg") {
			kind = "image/svg+xml"
		}
		mux.HandleFunc("GET "+asset(name, content), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			_, _ = w.Write(content) // the browser is gone: nobody to tell
		})
	}
}

// Message is a page that only says something: what was wrong with an upload, or
// that there is no such page.
type Message struct {
	Status         int
	View           string
	Heading, Text  string
	Link, LinkText string
}

// Write answers a request with the message.
func (u *UI) Write(w http.ResponseWriter, r *http.Request, m Message) {
	var content, page bytes.Buffer
	err := u.message.ExecuteTemplate(&content, "message", m)
	if err == nil {
		err = u.layout.Execute(&page, live.Page{
			Title: m.Heading, Lang: "en", View: m.View, Content: template.HTML(content.String()), //nolint:gosec // html/template made it
		})
	}
	if err != nil {
		u.log.ErrorContext(r.Context(), "message page failed", "error", err)
		http.Error(w, m.Heading+": "+m.Text, m.Status)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(m.Status)
	_, _ = page.WriteTo(w) // the browser is gone: nobody to tell
}

// NotFound answers with a page that leads back.
func (u *UI) NotFound(w http.ResponseWriter, r *http.Request) {
	u.Write(w, r, Message{
		Status: http.StatusNotFound, Heading: "There is nothing here",
		Text: "The address may be mistyped, or what it named is gone.", Link: "/", LinkText: "Go to the first page",
	})
}

// Funcs are the functions that templates may use: bytes, count, number, clock.
func Funcs() template.FuncMap {
	return template.FuncMap{
		"stylesheet": func() string { return asset("app.css", css) },
		"icon":       func() string { return asset("icon.svg", icon) },
		"pages":      Links,
		"bytes":      Bytes,
		"count":      Count,
		"number":     Number,
		"clock":      Clock,
	}
}

// Pure names the functions of Funcs, none of which looks at anything but its
// arguments, and those given: what live.ViewConfig wants to hear before it
// renders less than everything.
func Pure(more ...string) []string {
	return append(slices.Sorted(maps.Keys(Funcs())), more...)
}

// Bytes writes a size: 1.2 MB.
func Bytes(n int64) string {
	v, unit := float64(n), "bytes"
	for _, u := range []string{"KB", "MB", "GB"} {
		if v < 1024 {
			break
		}
		v, unit = v/1024, u
	}
	if unit == "bytes" || v >= 100 || v == math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 0, 64) + " " + unit
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + unit
}

// Count writes a whole number with its thousands apart: 12,345.
func Count(n int64) string { return group(strconv.FormatInt(n, 10)) }

// Number writes a number with at most four significant decimals: 0.01234,
// 153.5, 7,043,545, 1.2e+20.
func Number(v float64) string {
	switch abs := math.Abs(v); {
	case abs >= 1e15 || (abs < 1e-4 && abs > 0):
		return strconv.FormatFloat(v, 'g', 4, 64)
	case abs >= 1000 || v == math.Trunc(v):
		return group(strconv.FormatFloat(v, 'f', 0, 64))
	default:
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
}

func group(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Clock writes a time of day in UTC with the day: 23 Nov, 18:04:05.
func Clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 Jan, 15:04:05")
}
