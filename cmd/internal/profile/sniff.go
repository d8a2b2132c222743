package profile

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// SniffBytes is how much of a file's start [Sniff] looks at.
const SniffBytes = 64 << 10

const utf8BOM = "\xef\xbb\xbf"

// magic lists the starts of files that people send for a CSV by mistake.
var magic = []struct{ start, message string }{
	{"PK\x03\x04", "this is an Excel workbook or a zip archive; export the sheet as CSV and send that"},
	{"\xd0\xcf\x11\xe0", "this is an old Excel workbook; export the sheet as CSV and send that"},
	{"\x1f\x8b", "this file is compressed with gzip; unpack it first"},
	{"%PDF", "this is a PDF document"},
	{"\x89PNG", "this is a picture"},
	{"\xff\xd8\xff", "this is a picture"},
	{"\xff\xfe", "this file is in UTF-16; save it as CSV in UTF-8"},
	{"\xfe\xff", "this file is in UTF-16; save it as CSV in UTF-8"},
	{"PAR1", "this is a Parquet file"},
	{"SQLite format 3", "this is an SQLite database"},
}

// markup lists starts of text formats that are not CSV, in lower case.
var markup = []struct{ start, message string }{
	{"<!doctype html", "this is a web page (HTML)"},
	{"<html", "this is a web page (HTML)"},
	{"<?xml", "this is an XML document"},
	{"{\"", "this is JSON"},
	{"[{", "this is JSON"},
}

// Sniff looks at the start of a file, up to [SniffBytes] of it, and returns an
// *[Error] when it cannot be a CSV: so that an upload can be refused before it
// costs anything. It is safe for concurrent use.
func Sniff(head []byte) error {
	for _, m := range magic {
		if bytes.HasPrefix(head, []byte(m.start)) {
			return fault(CodeNotCSV, 0, 0, "%s", m.message)
		}
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte(utf8BOM)), " \t\r\n")
	if len(text) == 0 && len(head) < SniffBytes {
		return fault(CodeEmpty, 0, 0, "the file is empty")
	}
	start := bytes.ToLower(text[:min(len(text), 16)])
	for _, m := range markup {
		if bytes.HasPrefix(start, []byte(m.start)) {
			return fault(CodeNotCSV, 0, 0, "%s", m.message)
		}
	}
	if i := bytes.IndexByte(head, 0); i >= 0 {
		line, column := place(head, i)
		return fault(CodeNotCSV, line, column, "there is a zero byte here; this is not a text file")
	}
	return nil
}

// place turns an offset into a line and a column.
func place(b []byte, i int) (line, column int) {
	before := b[:i]
	line = bytes.Count(before, []byte{'\n'}) + 1
	return line, utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
}

// delimiter guesses what separates the fields: the candidate that gives most
// rows of the sample the same number of fields, and more than one of them.
func delimiter(head []byte) byte {
	const rows = 50
	best, bestScore := byte(','), 0.0
	for _, c := range []byte{',', ';', '\t', '|'} {
		counts := fieldCounts(head, c, rows)
		if len(counts) == 0 || counts[0] < 2 {
			continue
		}
		same := 0
		for _, n := range counts {
			if n == counts[0] {
				same++
			}
		}
		// Agreement decides; among equals the one that cuts finer wins.
		score := float64(same)/float64(len(counts)) + float64(min(counts[0], 100))/1000
		if score > bestScore {
			best, bestScore = c, score
		}
	}
	return best
}

// fieldCounts returns the number of fields of the sample's first rows. The
// last row is left out when the sample may have cut it.
func fieldCounts(head []byte, comma byte, rows int) []int {
	var counts []int
	fields, quoted, blank := 1, false, true
	for _, b := range head {
		switch {
		case b == '"':
			quoted, blank = !quoted, false
		case quoted:
		case b == comma:
			fields, blank = fields+1, false
		case b == '\n':
			if !blank {
				counts = append(counts, fields)
			}
			if len(counts) == rows {
				return counts
			}
			fields, blank = 1, true
		case b != '\r':
			blank = false
		}
	}
	if !blank && len(head) < SniffBytes {
		counts = append(counts, fields)
	}
	return slices.Clip(counts)
}
