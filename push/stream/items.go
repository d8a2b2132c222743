package stream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
)

// Items returns the items of a JSON stream, from what Follow returns. An item
// that is no T ends it with an error, as does an error of chunks.
func Items[T any](chunks iter.Seq2[Chunk, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for c, err := range chunks {
			if err != nil {
				yield(none, err)
				return
			}
			for rest := c.Data; len(rest) > 0; {
				var item T
				d := json.NewDecoder(bytes.NewReader(rest))
				if err := d.Decode(&item); err != nil {
					yield(none, fmt.Errorf("stream: item before %s: %w", c.To, err))
					return
				}
				if !yield(item, nil) {
					return
				}
				rest = bytes.TrimPrefix(rest[d.InputOffset():], []byte(","))
			}
		}
	}
}
