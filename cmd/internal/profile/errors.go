package profile

import "fmt"

// Code names what is wrong with a file.
type Code string

// The codes.
const (
	// CodeEmpty: the file holds no bytes, or only blank lines.
	CodeEmpty Code = "empty"
	// CodeHeaderOnly: the first row is there, but no data row follows it.
	CodeHeaderOnly Code = "header-only"
	// CodeNotCSV: the content is of another type (see Sniff).
	CodeNotCSV Code = "not-csv"
	// CodeQuote: a double quote is misplaced or never closed.
	CodeQuote Code = "quote"
	// CodeRagged: a row has more or fewer fields than the header.
	CodeRagged Code = "ragged"
	// CodeEncoding: the text is not UTF-8.
	CodeEncoding Code = "encoding"
	// CodeColumns: the header has more columns than Config.MaxColumns.
	CodeColumns Code = "too-many-columns"
	// CodeRecord: one row is longer than Config.MaxRecordBytes.
	CodeRecord Code = "row-too-long"
)

// Error is a fault in the file itself: repeating the work cannot help, and its
// text is fit for the person who sent the file.
type Error struct {
	Code Code
	// Line and Column say where, counted from 1, columns in characters. Both
	// are zero when the fault has no place (an empty file).
	Line, Column int
	// Message is a sentence without the place.
	Message string
}

// Error returns the message with its place in front.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

func fault(code Code, line, column int, format string, args ...any) *Error {
	return &Error{Code: code, Line: line, Column: column, Message: fmt.Sprintf(format, args...)}
}
