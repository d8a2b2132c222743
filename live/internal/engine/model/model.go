// Package model is the client of the engine's wire format in Go: it applies
// snapshots and patches as the browser does and prints the HTML that results.
// It knows no templates and renders nothing itself. The engine's tests use it, and
// package livetest, whose pages have no browser.
package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ErrProtocol means that a manifest, snapshot or patch breaks the grammar of
// docs/protocol.md, or does not fit what the client holds. The page is then in
// an unknown state and a snapshot is needed.
var ErrProtocol = errors.New("model: protocol error")

// Client holds one page. It is not safe for concurrent use.
type Client struct {
	blocks []*block
	first  int
	root   *instance
}

// block is a skeleton cut at its units.
type block struct {
	pieces []string
	units  []unit
}

type unit struct {
	kind          byte
	before, after string
}

// instance is a block with the values of its units: a string, an *instance (nil
// for none) or []*instance.
type instance struct {
	block  *block
	values []any
}

// New reads a manifest.
func New(manifest []byte) (*Client, error) {
	var m struct {
		Version int               `json:"v"`
		Root    int               `json:"r"`
		Blocks  []json.RawMessage `json:"b"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrProtocol, err)
	}
	if m.Version != 1 || m.Root < 0 || m.Root >= len(m.Blocks) {
		return nil, fmt.Errorf("%w: manifest version %d, root %d of %d", ErrProtocol, m.Version, m.Root, len(m.Blocks))
	}
	c := &Client{first: m.Root}
	for i, raw := range m.Blocks {
		b, err := readBlock(raw)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", i, err)
		}
		c.blocks = append(c.blocks, b)
	}
	return c, nil
}

const placeholder = "\uFDD0"

func readBlock(raw json.RawMessage) (*block, error) {
	if string(raw) == "0" {
		return nil, nil // a block that no client meets
	}
	var m struct {
		HTML  string `json:"h"`
		Units []any  `json:"u"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	b := &block{}
	rest := m.HTML
	for i, u := range m.Units {
		var n unit
		switch u := u.(type) {
		case string:
			u += " "
			n.kind = u[0]
		case []any:
			texts := make([]string, 4)
			for i, a := range u[:min(len(u), 4)] {
				texts[i], _ = a.(string)
			}
			n = unit{kind: (texts[0] + " ")[0], before: texts[1], after: texts[2]}
		}
		mark := fmt.Sprint(placeholder, i, placeholder)
		switch n.kind {
		case 'B', 'L', 'H', 'I':
			mark = fmt.Sprint("<!--", i, "-->")
		case 'S':
			mark = " " + mark
		case 'T', 'A', 'R':
		default:
			return nil, fmt.Errorf("%w: unit %v", ErrProtocol, u)
		}
		piece, after, ok := strings.Cut(rest, mark)
		if !ok {
			return nil, fmt.Errorf("%w: no unit %d in %q", ErrProtocol, i, m.HTML)
		}
		b.pieces, rest = append(b.pieces, piece), after
		b.units = append(b.units, n)
	}
	b.pieces = append(b.pieces, rest)
	return b, nil
}

// Snapshot replaces the page.
func (c *Client) Snapshot(raw json.RawMessage) error {
	v, err := decode(raw)
	if err != nil {
		return err
	}
	root, err := c.make(v)
	if err != nil {
		return err
	}
	c.root = root
	return nil
}

// Patch changes the page.
func (c *Client) Patch(raw json.RawMessage) error {
	if c.root == nil {
		return fmt.Errorf("%w: patch before the first snapshot", ErrProtocol)
	}
	v, err := decode(raw)
	if err != nil {
		return err
	}
	if isInstance(v) {
		return c.Snapshot(raw)
	}
	return c.patch(c.root, v)
}

// HTML returns the page as html/template would print it.
func (c *Client) HTML() string {
	if c.root == nil {
		return ""
	}
	var w strings.Builder
	c.root.print(&w)
	return w.String()
}

func (in *instance) print(w *strings.Builder) {
	for i, u := range in.block.units {
		w.WriteString(in.block.pieces[i])
		switch v := in.values[i].(type) {
		case string:
			v = u.before + v + u.after
			if bare := !strings.HasSuffix(in.block.pieces[i], `"`) && !strings.HasSuffix(in.block.pieces[i], `'`); u.kind == 'A' && bare && strings.ContainsAny(v, `"'`) {
				// A client sets the attribute: quotes in the value are a part of it.
				v = `"` + strings.ReplaceAll(v, `"`, "&#34;") + `"`
			}
			w.WriteString(v)
		case *instance:
			if v != nil {
				v.print(w)
			}
		case []*instance:
			for _, row := range v {
				row.print(w)
			}
		}
	}
	w.WriteString(in.block.pieces[len(in.block.units)])
}

func decode(raw json.RawMessage) (any, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return v, nil
}
