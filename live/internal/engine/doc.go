// Package engine turns html/template pages into minimal patches.
//
// html/template itself executes and escapes: nothing of it is forked or
// rebuilt. The engine learns what is fixed and what changes from the slices
// that reach the writer. It knows no socket, session or action: package live, its
// only caller, has states and wants bytes.
//
// # Markers without markers
//
// [Compile] rewrites a clone of the template's trees so that every block (a
// template body, an alternative of an if or with, the body of a range) is
// exactly n slots and n+1 statics, and moves each static's bytes into a buffer
// of its own with four hidden bytes behind the text, inside the slice's
// capacity. For this template
//
//	<p>{{.Name}}{{if .Admin}} <b>admin</b>{{end}}</p>
//
// the blocks and the buffers are
//
//	block 1  "<p>"·01   {{.Name}}   ""·02   {{if .Admin}}   "</p>"·03
//	block 2  " <b>admin</b>"·04                  ^ fills this slot
//
// and an execution with Name "Ann" and Admin true hands the writer
//
//	Write("<p>"·01)  Write("Ann")  Write(""·02)  Write(" <b>admin</b>"·04)  Write("</p>"·03)
//
// Any other writer sees the page and nothing else. The engine's compares the
// address of each slice's first byte with the static whose number the hidden
// bytes give: a match moves the position, everything else is a value at the
// position. What it keeps is a tree of values only:
//
//	block 1 [ "Ann", block 2 [] ]
//
// No printed value can forge a static, because it cannot lie at its address.
//
// # From slots to units
//
// The DOM cannot address a slot: {{.A}} and {{.B}} in one attribute are one
// value there. At compile time the statics are read as HTML and the slots
// grouped into units: a text run between two tags, a whole attribute value, the
// attributes that come and go in a tag, the content of a raw element, a region
// that a block fills, the rows of a range. The skeletons and units of all
// blocks are the [Set.Manifest], which a client loads once; then only values
// travel. For the template above
//
//	{"h":"<p>0<!--1--></p>","u":["T","B"]}    skeleton (unit numbers marked) and units
//	[0,"Bob"]                                 patch: unit 0 is now Bob
//	[1,0]                                     patch: unit 1 is empty now
//
// Where the HTML of a block is not a tree of its own (an element opened in one
// branch and closed in another, a <td> straight in a <table>), the smallest
// element that holds the damage becomes one unit of HTML text, and
// [Set.Diagnostics] tells the author. So every template works, and the regular
// ones work fast. docs/protocol.md describes the wire format.
//
// # Rendering less
//
// Given the state's type, three accelerators make the same bytes with less
// work; [Options] has a switch for each. The last is off unless asked for.
//
//	typed printing   plain strings, numbers and booleans skip html/template's reflection
//	row memo         unchanged rows of flat structs are not executed, but copied
//	shared renders   views with equal states share one tree and the patches to it (package share)
//
// # A program
//
//	set, err := engine.Compile(tmpl, reflect.TypeFor[State](), engine.Options{})
//	if err != nil {
//		return err
//	}
//	view := set.NewView()
//	page, err := view.HTML(nil, State{Name: "Ann"})            // first page
//	patch, changed, err := view.Patch(nil, State{Name: "Bob"}) // [0,"Bob"]
package engine
