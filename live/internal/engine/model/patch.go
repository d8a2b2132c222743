package model

import "fmt"

// isInstance tells an instance from a patch: its first number is negative.
func isInstance(v any) bool {
	switch v := v.(type) {
	case float64:
		return v < 0
	case []any:
		n, ok := float64(0), false
		if len(v) > 0 {
			n, ok = v[0].(float64)
		}
		return ok && n < 0
	}
	return false
}

// make builds an instance: -(block+1), or [-(block+1), value...].
func (c *Client) make(v any) (*instance, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	if !isInstance(v) {
		return nil, fmt.Errorf("%w: %v is no instance", ErrProtocol, v)
	}
	first, _ := list[0].(float64)
	id := int(-first) - 1 // a fraction names no block, and may come out as -1
	if first != float64(-id-1) || id < 0 || id >= len(c.blocks) || c.blocks[id] == nil {
		return nil, fmt.Errorf("%w: no block for %v", ErrProtocol, first)
	}
	b := c.blocks[id]
	if len(list) != len(b.units)+1 {
		return nil, fmt.Errorf("%w: %d values for %d units", ErrProtocol, len(list)-1, len(b.units))
	}
	in := &instance{block: b}
	for i, u := range b.units {
		value, err := c.value(u, list[i+1])
		if err != nil {
			return nil, err
		}
		in.values = append(in.values, value)
	}
	return in, nil
}

func (c *Client) value(u unit, v any) (any, error) {
	switch u.kind {
	case 'B':
		if n, ok := v.(float64); ok && n == 0 {
			return (*instance)(nil), nil
		}
		return c.make(v)
	case 'L':
		return c.rows(v)
	}
	s, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("%w: %v for a text unit", ErrProtocol, v)
	}
	return s, nil
}

func (c *Client) rows(v any) ([]*instance, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%w: %v for rows", ErrProtocol, v)
	}
	rows := []*instance{}
	for _, r := range list {
		row, err := c.make(r)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// patch applies [unit,op,...].
func (c *Client) patch(in *instance, v any) error {
	list, ok := v.([]any)
	if !ok || len(list)%2 != 0 {
		return fmt.Errorf("%w: %v is no patch", ErrProtocol, v)
	}
	for i := 0; i < len(list); i += 2 {
		x, ok := index(list[i], len(in.values))
		if !ok {
			return fmt.Errorf("%w: no unit %v", ErrProtocol, list[i])
		}
		if err := c.op(in, x, list[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) op(in *instance, x int, op any) (err error) {
	u := in.block.units[x]
	old, _ := in.values[x].(*instance)
	switch {
	case u.kind == 'L':
		rows, _ := in.values[x].([]*instance)
		in.values[x], err = c.rangeOp(rows, op)
		return err
	case u.kind == 'B' && !isInstance(op) && op != float64(0):
		if old == nil {
			return fmt.Errorf("%w: patch of an empty region", ErrProtocol)
		}
		return c.patch(old, op)
	}
	in.values[x], err = c.value(u, op)
	return err
}

func index(v any, n int) (int, bool) {
	f, ok := v.(float64)
	i := int(f)
	return i, ok && float64(i) == f && i >= 0 && i < n
}
