// Package terminal prints what a command found, as text or as JSON, so that
// nothing in it steers the terminal. It knows nothing of what it prints. The
// commands of cmd/worker and of jobs/jobscmd use it.
package terminal

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// Printer prints what a command found.
type Printer struct {
	// W is where it goes.
	W io.Writer
	// JSON says that it goes as JSON.
	JSON bool
}

// Print prints text, or v as JSON.
func (p Printer) Print(v any, text string) error {
	if !p.JSON {
		_, err := fmt.Fprintln(p.W, harmless(text))
		return err
	}
	enc := json.NewEncoder(p.W)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Table prints rows, or v as JSON.
func (p Printer) Table(v any, head []string, rows [][]string) error {
	if p.JSON {
		return p.Print(v, "")
	}
	w := tabwriter.NewWriter(p.W, 0, 0, 2, ' ', 0)
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

// Stamp writes a time, or nothing.
func Stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
