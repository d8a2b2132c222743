package model

import (
	"cmp"
	"fmt"
	"slices"
)

// arrival is a run of rows that comes to a new position.
type arrival struct {
	at   int
	rows []*instance
}

// rangeOp applies {"u","d","o","i"}, in this order.
func (c *Client) rangeOp(old []*instance, op any) ([]*instance, error) {
	m, ok := op.(map[string]any)
	if !ok {
		return old, fmt.Errorf("%w: %v is no range operation", ErrProtocol, op)
	}
	gone := make([]bool, len(old))
	var arrivals []arrival
	for _, step := range []func() error{
		func() error { return c.update(old, m["u"]) },
		func() error { return remove(gone, m["d"]) },
		func() (err error) { arrivals, err = moves(old, gone, m["o"]); return err },
		func() (err error) { arrivals, err = c.inserts(arrivals, m["i"]); return err },
	} {
		if err := step(); err != nil {
			return old, err
		}
	}
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	var rest, out []*instance
	for i, row := range old {
		if !gone[i] {
			rest = append(rest, row)
		}
	}
	for _, a := range arrivals {
		for len(out) < a.at {
			if len(rest) == 0 {
				return old, fmt.Errorf("%w: no position %d in the rows", ErrProtocol, a.at)
			}
			out, rest = append(out, rest[0]), rest[1:]
		}
		out = append(out, a.rows...)
	}
	return append(out, rest...), nil
}

// pairs returns a field's elements, of which there must be an even number.
func pairs(v any) ([]any, error) {
	if v == nil {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok || len(list)%2 != 0 {
		return nil, fmt.Errorf("%w: %v in a range operation", ErrProtocol, v)
	}
	return list, nil
}

func (c *Client) update(old []*instance, field any) error {
	list, err := pairs(field)
	if err != nil {
		return err
	}
	for i := 0; i < len(list); i += 2 {
		x, ok := index(list[i], len(old))
		if !ok {
			return fmt.Errorf("%w: no row %v", ErrProtocol, list[i])
		}
		if !isInstance(list[i+1]) {
			if err := c.patch(old[x], list[i+1]); err != nil {
				return err
			}
			continue
		}
		if old[x], err = c.make(list[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func remove(gone []bool, field any) error {
	list, _ := field.([]any)
	if field != nil && list == nil {
		return fmt.Errorf("%w: %v in a range operation", ErrProtocol, field)
	}
	for _, d := range list {
		from, to := d, d
		if run, ok := d.([]any); ok {
			if len(run) != 2 {
				return fmt.Errorf("%w: run %v", ErrProtocol, run)
			}
			from, to = run[0], run[1]
		}
		a, okA := index(from, len(gone))
		b, okB := index(to, len(gone))
		if !okA || !okB {
			return fmt.Errorf("%w: no rows %v", ErrProtocol, d)
		}
		for ; a <= b; a++ {
			gone[a] = true
		}
	}
	return nil
}

func moves(old []*instance, gone []bool, field any) ([]arrival, error) {
	list, err := pairs(field)
	if err != nil {
		return nil, err
	}
	var out []arrival
	for i := 0; i < len(list); i += 2 {
		from, ok := index(list[i], len(old))
		to, okTo := index(list[i+1], 1<<31)
		if !ok || !okTo || gone[from] {
			return nil, fmt.Errorf("%w: move %v to %v", ErrProtocol, list[i], list[i+1])
		}
		gone[from] = true
		out = append(out, arrival{at: to, rows: []*instance{old[from]}})
	}
	return out, nil
}

func (c *Client) inserts(out []arrival, field any) ([]arrival, error) {
	list, err := pairs(field)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(list); i += 2 {
		at, ok := index(list[i], 1<<31)
		if !ok {
			return nil, fmt.Errorf("%w: insert at %v", ErrProtocol, list[i])
		}
		rows, err := c.rows(list[i+1])
		if err != nil {
			return nil, err
		}
		out = append(out, arrival{at: at, rows: rows})
	}
	return out, nil
}
