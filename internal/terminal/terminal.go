// Package terminal prints what a command found, as text or as JSON, so that
// nothing in it steers the terminal. It knows nothing of what it prints. The
// commands of cmd/worker and of jobs/jobscmd use it.
package terminal

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// Printer prints what a command found.
type Printer struct {
	// W is where it goes.
	W io.Writer
	// JSON says that it goes as JSON.
	JSON bool
	// Width is how many characters a line of a table may have; zero is any number. In
	// a terminal New finds it out. What is read by another program is never cut.
	Width int
}

// New returns a printer for a command's output.
func New(w io.Writer, asJSON bool) Printer {
	p := Printer{W: w, JSON: asJSON}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			p.Width = width
		}
	}
	return p
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

// leastCell is what is left at least of a text that is cut.
const leastCell = 16

// Table prints rows, or v as JSON. Where the lines are wider than the terminal, the
// texts of the last column are cut: it holds words, the others what is copied.
func (p Printer) Table(v any, head []string, rows [][]string) error {
	if p.JSON {
		return p.Print(v, "")
	}
	lines := make([][]string, 0, len(rows)+1)
	widths := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		line := make([]string, len(row))
		for i, cell := range row {
			line[i] = strings.ReplaceAll(harmless(cell), "\n", " ")
			widths[i] = max(widths[i], utf8.RuneCountInString(line[i]))
		}
		lines = append(lines, line)
	}
	before := 0 // of the last column
	for _, w := range widths[:len(head)-1] {
		before += w + 2
	}
	if p.Width > 0 && before+widths[len(head)-1] > p.Width {
		widths[len(head)-1] = max(p.Width-before, leastCell)
	}
	var out strings.Builder
	for _, line := range lines {
		var b strings.Builder
		for i, cell := range line {
			fmt.Fprintf(&b, "%-*s  ", widths[i], cut(cell, widths[i]))
		}
		out.WriteString(strings.TrimRight(b.String(), " ") + "\n")
	}
	_, err := io.WriteString(p.W, out.String())
	return err
}

// cut shortens a text to n characters.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
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
