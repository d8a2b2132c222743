package engine

import "slices"

// walker walks one block's tokens.
type walker struct {
	*layouter
	block *block
	res   *walked
	open  []openElement
	base  int // elements of open that were open before
	row   int
}

func (w *walker) run() {
	b := w.block
	ns := namespaceOf(w.open)
	if !b.layout.reached {
		b.layout.reached, b.layout.namespace = true, ns
	} else if b.layout.namespace != ns {
		w.damage(w.base-1, 0, "the block is used in both HTML and "+ns+b.layout.namespace)
	}
	if !b.passes.end.sameAs(htmlPlace{}) {
		w.damage(w.base-1, len(b.tokens)-1, "ends inside a tag or raw text")
	}
	for i, t := range b.tokens {
		if t.torn {
			w.damage(w.base-1, i, "a branch changes the HTML context")
		}
		switch t.kind {
		case slotToken:
			w.slot(i, t.slot)
		case openToken:
			w.openTag(i, &t)
		case closeToken:
			if _, slots := splitRefs(b.src[t.start:t.end]); len(slots) > 0 {
				w.damage(w.base-1, i, "a value in an end tag")
			}
			w.closeTag(i, t.name)
		case otherToken:
			w.damage(len(w.open)-1, i, "a declaration inside the page")
		case textToken:
			if isNewline(b.src[t.start]) {
				w.afterRegion(i)
			}
		case rawToken:
		}
	}
	for n := len(w.open); n > w.base; n = len(w.open) {
		e := w.open[n-1]
		w.open = w.open[:n-1]
		w.res.unclosed = append(w.res.unclosed, e.name)
	}
	slices.Reverse(w.res.unclosed)
	if len(w.res.unclosed) == 0 && w.res.closed == 0 {
		w.checkParse()
	}
}

// damage records an irregularity of the content of the open element at level.
func (w *walker) damage(level, token int, reason string) {
	w.note(damage{level: level, reason: reason, where: w.where(token)})
}

func (w *walker) note(d damage) {
	for d.level >= 0 && w.open[d.level].foreign {
		d.level--
	}
	if d.level < w.base {
		if !slices.ContainsFunc(w.res.outer, func(o damage) bool { return o.level == d.level }) {
			w.res.outer = append(w.res.outer, d)
		}
		return
	}
	e := w.open[d.level]
	if e.block.layout.html[e.token] == "" {
		e.block.layout.html[e.token] = d.where + ": " + d.reason
	}
}

// where returns the template position of the last slot before a token.
func (w *walker) where(token int) string {
	for i := token; i >= 0 && i < len(w.block.tokens); i-- {
		if t := w.block.tokens[i]; t.kind == slotToken {
			return w.block.slots[t.slot].where
		}
	}
	return w.block.where
}

// slot walks the blocks that may fill a slot in text.
func (w *walker) slot(token, k int) {
	s := &w.block.slots[k]
	if s.jumps {
		w.jump(token)
	}
	if s.kind == valueSlot {
		w.afterRegion(token)
	} else if s.mayBegin(isNewline) && w.startsPre(token, func(*slot) {}) {
		w.damage(len(w.open)-1, token, "a block may start with the newline that <pre> swallows")
	}
	stack := w.allow(s.cond)
	var results []*walked
	for _, child := range s.fill {
		if !child.passes.end.sameAs(htmlPlace{}) {
			w.damage(w.base-1, token, "a block ends inside a tag or raw text")
		}
		row := w.row
		if child.row {
			row = len(w.open) - 1
		}
		res := w.walk(child, stack, row)
		for _, d := range res.outer {
			w.note(d)
		}
		results = append(results, res)
	}
	w.balance(token, s, results)
}

// afterRegion notes the damage when a text may start with a newline and may be the
// first that a <pre> holds, though there is a region before it: parsers drop the
// newline there, but not behind a region's marker.
func (w *walker) afterRegion(token int) {
	region := false
	if w.startsPre(token, func(s *slot) { region = region || s.kind != valueSlot }) && region {
		w.damage(len(w.open)-1, token, "a text behind a block may start with the newline that <pre> swallows")
	}
}

// startsPre says whether nothing but slots that may be empty is between a <pre> and
// a token. It calls each with these.
func (w *walker) startsPre(token int, each func(*slot)) bool {
	for i := token - 1; i >= 0; i-- {
		switch t := w.block.tokens[i]; t.kind {
		case openToken:
			return dropsNewline(t.name)
		case slotToken:
			s := &w.block.slots[t.slot]
			if !s.mayBegin(nil) {
				return false
			}
			each(s)
		case closeToken, textToken, rawToken, otherToken:
			return false
		}
	}
	return false
}

// mayBegin says whether what fills the slot may be empty or begin with such a byte.
func (s *slot) mayBegin(with func(byte) bool) bool {
	return !s.total && with == nil || s.kind == valueSlot || slices.ContainsFunc(s.fill, func(b *block) bool {
		return !startsWith(b.src, func(c byte) bool { return c != refMark[0] && (with == nil || !with(c)) })
	})
}

func isNewline(c byte) bool { return c == '\n' || c == '\r' }

// allow hides the conditions of open elements that do not belong to cond, so
// that a block may close only what its own condition has opened.
func (w *walker) allow(cond string) []openElement {
	out := slices.Clone(w.open)
	for i := range out {
		if out[i].cond != cond {
			out[i].cond = ""
		}
	}
	return out
}

// balance takes over what a slot's blocks leave open or have closed.
func (w *walker) balance(token int, s *slot, results []*walked) {
	same, unclosed := true, 0
	for _, res := range results {
		w.open = w.open[:max(len(w.open)-res.closed, 0)]
		w.base = min(w.base, len(w.open))
		same = same && slices.Equal(res.unclosed, results[0].unclosed)
		unclosed += len(res.unclosed)
	}
	if unclosed == 0 {
		return
	}
	reason := "a block leaves <" + firstUnclosed(results) + "> open"
	w.damage(len(w.open)-1, token, reason)
	if s.kind != rowsSlot && (same && s.total || s.cond != "") {
		cond := s.cond
		for _, name := range results[0].unclosed {
			w.open = append(w.open, openElement{name: name, block: w.block, token: token, foreign: true, cond: cond})
			w.checkNesting(token)
		}
		return
	}
	for _, res := range results {
		w.damage(w.contained(len(w.open)-1, res.unclosed), token, reason)
	}
}

func firstUnclosed(results []*walked) string {
	for _, res := range results {
		if len(res.unclosed) > 0 {
			return res.unclosed[0]
		}
	}
	return ""
}

// jump handles a break or continue while elements of the row are open.
func (w *walker) jump(token int) {
	if len(w.open)-1 <= w.row {
		return
	}
	level := w.contained(w.row, namesOf(w.open[w.row+1:]))
	w.damage(level, token, "a break or continue leaves elements open")
}

func (w *walker) openTag(i int, t *token) {
	if t.dynamicName {
		w.damage(-1, i, "a dynamic tag name") // it may end any element around it
	}
	if t.name == "template" {
		w.block.layout.html[i] = w.where(i) + ": a <template> has no content of its own"
	}
	foreign := t.name == "svg" || t.name == "math" || namespaceOf(w.open) != ""
	if t.selfClosed && foreign || voidElement(t.name) && !foreign {
		return
	}
	w.open = append(w.open, openElement{name: t.name, block: w.block, token: i})
	if slices.ContainsFunc(w.open, func(e openElement) bool { return e.foreign }) {
		w.checkNesting(i)
	}
}

func (w *walker) closeTag(i int, name string) {
	n := len(w.open)
	if n > w.base && w.open[n-1].name == name {
		if e := w.open[n-1]; !e.foreign {
			e.block.layout.closes[e.token] = i
		} else if e.cond != "" {
			w.damage(n-1, i, "</"+name+"> may close another element")
		}
		w.open = w.open[:n-1]
		return
	}
	level := n - 1
	for level >= 0 && w.open[level].name != name {
		level--
	}
	switch {
	case level < 0:
		w.damage(n-1, i, "</"+name+"> closes nothing")
	case level == n-1 && w.open[level].foreign && w.open[level].cond != "":
		w.res.closed++ // what an earlier block opened under the same condition
		w.damage(level, i, "closes what another block opens")
		w.open = w.open[:n-1]
		w.base = len(w.open)
	case level < w.base:
		w.damage(level-1, i, "</"+name+"> closes an element of another block")
	default:
		w.unclosed(i, level)
	}
}

// unclosed handles an end tag that closes elements above its own.
func (w *walker) unclosed(i, level int) {
	e := w.open[level]
	inner := namesOf(w.open[level+1:])
	w.damage(level, i, "unclosed <"+inner[0]+">")
	w.damage(w.contained(level, inner), i, "unclosed <"+inner[0]+">")
	if e.foreign {
		w.damage(level-1, i, "unclosed elements in another block")
	} else {
		e.block.layout.closes[e.token] = i
	}
	w.open = w.open[:level]
}

func namesOf(open []openElement) []string {
	var names []string
	for _, e := range open {
		names = append(names, e.name)
	}
	return names
}
