package tasks

import "encoding/binary"

// HeaderOf reads the header of a task as Asynq stores it: take.lua goes through
// a message likewise.
func HeaderOf(message []byte) (Header, error) {
	headers := map[string]string{}
	walk(message, func(field uint64, value []byte) {
		if field != 15 { // the headers, an entry each
			return
		}
		var key, text string
		walk(value, func(field uint64, value []byte) {
			switch field {
			case 1:
				key = string(value)
			case 2:
				text = string(value)
			}
		})
		headers[key] = text
	})
	return ParseHeader(headers)
}

// walk calls f with the fields of a protobuf message that have a length. It ends
// at what it cannot read.
func walk(b []byte, f func(field uint64, value []byte)) {
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		b = b[max(n, 0):]
		if n <= 0 {
			b = nil
		}
		return v
	}
	skip := func(n uint64) []byte {
		if n > uint64(len(b)) {
			b = nil
			return nil
		}
		v := b[:n]
		b = b[n:]
		return v
	}
	for len(b) > 0 {
		switch tag := number(); tag % 8 {
		case 0:
			number()
		case 1:
			skip(8)
		case 2:
			f(tag/8, skip(number()))
		case 5:
			skip(4)
		default:
			return
		}
	}
}
