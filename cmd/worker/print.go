package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// printer prints what a command found, as text or as JSON.
type printer struct {
	w    io.Writer
	json bool
}

func (p printer) print(v any, text string) error {
	if !p.json {
		_, err := fmt.Fprintln(p.w, text)
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
		_, _ = fmt.Fprintln(w, strings.ReplaceAll(strings.Join(r, "\t"), "\n", " "))
	}
	return w.Flush()
}

// stamp writes a time, or nothing.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
