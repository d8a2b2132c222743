package enginetest

import (
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Same reports whether two texts are one page: the same bytes, or else what an
// HTML parser makes the same tree of. The <tbody> of a table that has no rows is
// no difference, nor is space between rows.
func Same(got, want string) bool {
	return got == want || Parsed(got) == Parsed(want)
}

// Parsed returns the tree that an HTML parser makes of a page's text.
func Parsed(text string) string {
	body := &html.Node{Type: html.ElementNode, Data: "div", DataAtom: atom.Div}
	nodes, err := html.ParseFragment(strings.NewReader(text), body)
	if err != nil {
		return err.Error()
	}
	for _, n := range nodes {
		body.AppendChild(n)
	}
	dropBodies(body)
	var b strings.Builder
	dump(&b, body, 0)
	return b.String()
}

// dropBodies takes each <tbody> out that has nothing but space in it.
func dropBodies(n *html.Node) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		dropBodies(c)
	}
	for c := n.FirstChild; c != nil; {
		next := c.NextSibling
		space := c.Type == html.TextNode && strings.Trim(c.Data, " \t\r\n\f") == "" && (n.DataAtom == atom.Table || n.DataAtom == atom.Tbody)
		if space || c.DataAtom == atom.Tbody && len(c.Attr) == 0 && c.FirstChild == nil {
			n.RemoveChild(c)
		}
		c = next
	}
}

// dump writes a line for each node: rendering a tree as HTML again hides what
// only a parser's tree can be.
func dump(b *strings.Builder, n *html.Node, depth int) {
	b.WriteString(strings.Repeat(" ", depth))
	if n.Type == html.ElementNode {
		b.WriteString("<" + n.Namespace + " " + n.Data)
		for _, a := range n.Attr {
			b.WriteString(" " + a.Namespace + ":" + a.Key + "=" + strconv.Quote(a.Val))
		}
	} else {
		b.WriteString(strconv.Quote(n.Data))
	}
	b.WriteString("\n")
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		dump(b, c, depth+1)
	}
}
