package profile

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"unicode/utf8"
)

// scanner cuts a stream into rows of fields as encoding/csv does (RFC 4180,
// strict quotes, blank lines skipped). It exists beside it for three reasons:
// its memory is bounded (an unclosed quote makes encoding/csv read the whole
// rest of the file into one field), it knows where the unclosed quote was
// opened, and it allocates nothing for a row.
type scanner struct {
	r     *bufio.Reader
	comma byte
	limit int

	long   []byte // a physical line that did not fit the reader's buffer
	record []byte // the fields of the row, one after the other
	ends   []int  // where each field ends in record
	line   int    // number of the last physical line read
	first  int    // number of the line where the row starts
	want   int    // how many fields a row must have; zero for any number
}

func newScanner(r *bufio.Reader, comma byte, limit int) *scanner {
	return &scanner{r: r, comma: comma, limit: limit}
}

// next reads a row. Its fields stay valid until the next call. It returns
// io.EOF at the end, an *Error for a fault, or the reader's error.
func (s *scanner) next() error {
	for {
		line, err := s.readLine()
		if err != nil {
			return err
		}
		s.first = s.line
		if len(trimEOL(line)) > 0 {
			return s.parse(line)
		}
	}
}

// fields returns the number of fields of the row.
func (s *scanner) fields() int { return len(s.ends) }

// field returns the i-th field of the row.
func (s *scanner) field(i int) []byte {
	if i == 0 {
		return s.record[:s.ends[0]]
	}
	return s.record[s.ends[i-1]:s.ends[i]]
}

// readLine returns the next physical line with its end. The result is valid
// until the next call.
func (s *scanner) readLine() ([]byte, error) {
	line, err := s.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		s.long = append(s.long[:0], line...)
		for errors.Is(err, bufio.ErrBufferFull) {
			line, err = s.r.ReadSlice('\n')
			s.long = append(s.long, line...)
			if len(s.long) > s.limit {
				s.line++
				return nil, s.tooLong(s.line)
			}
		}
		line = s.long
	}
	if len(line) == 0 {
		return nil, err
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	s.line++
	if !utf8.Valid(line) {
		i := invalidAt(line)
		return nil, fault(CodeEncoding, s.line, utf8.RuneCount(line[:i])+1,
			"byte 0x%02X is not valid UTF-8; save the file as CSV in UTF-8", line[i])
	}
	return line, nil
}

func invalidAt(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

func (s *scanner) tooLong(line int) *Error {
	return fault(CodeRecord, line, 1, "this row is longer than %d bytes; is a closing quote missing?", s.limit)
}

// parse cuts a row that starts with the given line.
func (s *scanner) parse(line []byte) error {
	s.record, s.ends = s.record[:0], s.ends[:0]
	at := 0
	for {
		if s.want > 0 && len(s.ends) == s.want {
			return s.fault(CodeRagged, line, at, "this row has more fields than the header, which has %d", s.want)
		}
		if at < len(line) && line[at] == '"' {
			var err error
			if line, at, err = s.quoted(line, at); err != nil {
				return err
			}
		} else {
			end := bytes.IndexByte(line[at:], s.comma)
			raw := trimEOL(line[at:])
			if end >= 0 {
				raw = line[at : at+end]
			}
			if q := bytes.IndexByte(raw, '"'); q >= 0 {
				return s.fault(CodeQuote, line, at+q, "a double quote stands inside a field that is not quoted")
			}
			s.record = append(s.record, raw...)
			at += len(raw)
		}
		s.ends = append(s.ends, len(s.record))
		if at >= len(line) || line[at] != s.comma {
			if len(s.ends) < s.want {
				return s.fault(CodeRagged, line, at, "this row has %d fields, the header has %d", len(s.ends), s.want)
			}
			return nil
		}
		at++
	}
}

// quoted reads a quoted field whose opening quote is line[at], over as many
// lines as it takes. It returns the line that the field ends in and the place
// behind its closing quote.
func (s *scanner) quoted(line []byte, at int) ([]byte, int, error) {
	openLine, openColumn := s.line, utf8.RuneCount(line[:at])+1
	at++
	for {
		i := bytes.IndexByte(line[at:], '"')
		if i < 0 {
			rest := line[at:]
			if end := trimEOL(rest); len(end) < len(rest) {
				s.record = append(append(s.record, end...), '\n')
			} else {
				s.record = append(s.record, rest...)
			}
			if len(s.record) > s.limit {
				return nil, 0, s.tooLong(s.first)
			}
			var err error
			if line, err = s.readLine(); errors.Is(err, io.EOF) {
				return nil, 0, fault(CodeQuote, openLine, openColumn, "the quote opened here is never closed")
			} else if err != nil {
				return nil, 0, err
			}
			at = 0
			continue
		}
		s.record = append(s.record, line[at:at+i]...)
		at += i + 1
		switch {
		case at < len(line) && line[at] == '"':
			s.record = append(s.record, '"')
			at++
		case at == len(line), line[at] == s.comma, len(trimEOL(line[at:])) == 0:
			return line, at, nil
		default:
			return nil, 0, s.fault(CodeQuote, line, at, "only a delimiter may follow a closing quote")
		}
	}
}

// fault is a fault at an offset of the last physical line.
func (s *scanner) fault(code Code, line []byte, at int, format string, args ...any) *Error {
	return fault(code, s.line, utf8.RuneCount(line[:at])+1, format, args...)
}

// trimEOL cuts one line end, "\n" or "\r\n", or the "\r" that a file which was
// cut off in the middle of one leaves.
func trimEOL(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}
