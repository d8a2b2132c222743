package guide

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a search may ask for, and what it answers, at most.
const (
	maxQuery   = 100 // bytes
	maxWords   = 8
	maxResults = 30
	around     = 70 // runes of an excerpt on each side
)

// piece is a part of an excerpt.
type piece struct {
	Text string
	Hit  bool
}

// result is a section that holds all words of a query.
type result struct {
	Path, Chapter, Heading string
	Excerpt                []piece
	order, weight          int
}

// search finds the sections that hold all words of the query, in any case: of
// chapters before those of other documents, and decisions last. Among these the
// ones that hold the words in their heading come first.
func (g *guide) search(query string) []result {
	words := strings.FieldsFunc(strings.ToLower(query), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	if len(words) == 0 {
		return nil
	}
	words = words[:min(len(words), maxWords)]
	var found []result
	for _, d := range g.docs {
		for _, s := range d.sections {
			head, body := strings.ToLower(d.title+" "+s.heading), strings.ToLower(s.text)
			weight := 0
			for _, w := range words {
				switch {
				case strings.Contains(head, w):
					weight += 2
				case strings.Contains(body, w):
					weight++
				default:
					weight = -3 * maxWords
				}
			}
			if weight < 0 {
				continue
			}
			to := d.path
			if s.anchor != "" {
				to += "#" + s.anchor
			}
			heading := s.heading
			if strings.HasSuffix(d.title, heading) { // the document's own
				heading = ""
			}
			found = append(found, result{to, d.title, heading, excerpt(s.text, words), order(d), weight})
		}
	}
	slices.SortStableFunc(found, func(a, b result) int { return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(b.weight, a.weight)) })
	return found[:min(len(found), maxResults)]
}

// order is a document's place among what was found.
func order(d *doc) int {
	switch {
	case strings.HasPrefix(d.file, "guide/"):
		return 0
	case strings.HasPrefix(d.file, decisions):
		return 2
	default:
		return 1
	}
}

// excerpt is the text around the first of the words, with all of them marked.
func excerpt(s string, words []string) []piece {
	text := []rune(s)
	lower := make([]rune, len(text)) // rune by rune, so that places agree
	for i, r := range text {
		lower[i] = unicode.ToLower(r)
	}
	hits := make([]bool, len(text))
	first := -1
	for _, w := range words {
		word := []rune(w)
		for i := 0; i+len(word) <= len(lower); i++ {
			if !slices.Equal(lower[i:i+len(word)], word) {
				continue
			}
			for j := range word {
				hits[i+j] = true
			}
			if first < 0 || i < first {
				first = i
			}
		}
	}
	from := max(0, max(first, 0)-around)
	to := min(len(text), max(first, 0)+2*around)
	for from > 0 && text[from-1] != ' ' && from < first { // whole words
		from++
	}
	for to < len(text) && text[to] != ' ' {
		to++
	}
	var pieces []piece
	if from > 0 {
		pieces = append(pieces, piece{"… ", false})
	}
	for i := from; i < to; {
		j := i
		for j < to && hits[j] == hits[i] {
			j++
		}
		pieces = append(pieces, piece{string(text[i:j]), hits[i]})
		i = j
	}
	if to < len(text) {
		pieces = append(pieces, piece{" …", false})
	}
	return pieces
}

// clip cuts a text to at most n bytes, between characters.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "")
	if len(s) <= n {
		return s
	}
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
