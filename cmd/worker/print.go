package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// printer prints what a command found, as text or as JSON.
type printer struct {
	w    io.Writer
	json bool
}

func (p printer) print(v any, text string) error {
	if !p.json {
		_, err := fmt.Fprintln(p.w, harmless(text))
		return err
	}
	enc := json.NewEncoder(p.w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func (p printer) table(v any, head []string, rows [][]string) error {
	if p.json {
		return p.print(v, "")
	}
	w := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, strings.Join(head, "\t")) // Flush returns the error
	for _, r := range rows {
		for i, cell := range r {
			r[i] = strings.ReplaceAll(harmless(cell), "\n", " ")
		}
		_, _ = fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	return w.Flush()
}

// harmless takes out of a text what would steer a terminal: errors and data may
// hold what strangers have sent.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r) && r != '\n':
			return unicode.ReplacementChar
		default:
			return r
		}
	}, text)
}

// stamp writes a time, or nothing.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
