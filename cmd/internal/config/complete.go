package config

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// shells are the shells that a program can teach its commands and flags. Each
// script asks the program itself, by --complete, so that it need not be made anew
// when the program changes. %[1]s is the program's name, %[2]s the same as part of a
// function's.
var shells = map[string]string{
	"bash": `_%[2]s() {
	local IFS=$'\n'
	COMPREPLY=($("${COMP_WORDS[0]}" --complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
}
complete -o default -F _%[2]s %[1]s
`,
	"zsh": `#compdef %[1]s
_%[2]s() {
	local -a found
	found=("${(@f)$("${words[1]}" --complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	found=("${(@)${(@)found//:/\\:}//$'\t'/:}")
	[[ -n "$found[1]" ]] && _describe '%[1]s' found || _files
}
compdef _%[2]s %[1]s
`,
	"fish": `function __%[2]s_words
	%[1]s --complete (commandline -opc)[2..] "$(commandline -ct)" 2>/dev/null
end
complete -c %[1]s -f -n 'test -n "$(__%[2]s_words)"' -a '(__%[2]s_words)'
`,
}

// shellNames are the names of shells, in order.
func shellNames() string { return "bash, fish or zsh" }

// script prints what has a shell complete the program's command line.
func script(name, shell string, out io.Writer) error {
	text, ok := shells[shell]
	if !ok {
		return fmt.Errorf("%w: --completion=%s: must be %s", ErrUsage, shell, shellNames())
	}
	_, err := fmt.Fprintf(out, text, name, strings.ReplaceAll(name, "-", "_"))
	return err
}

// candidates are the words that can stand where the last of words is being typed,
// each with a tab and what it means. words are without the program's name.
func candidates(app *kong.Node, words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	words = joined(words)
	node, last := app, words[len(words)-1]
	var waits *kong.Flag // has no value yet
	for _, w := range words[:len(words)-1] {
		switch {
		case waits != nil:
			waits = nil
		case strings.HasPrefix(w, "-"):
			if f := flagOf(node, w); f != nil && !f.IsBool() && !strings.Contains(w, "=") {
				waits = f
			}
		default:
			if i := slices.IndexFunc(node.Children, func(c *kong.Node) bool { return c.Name == w }); i >= 0 {
				node = node.Children[i]
			}
		}
	}
	if waits != nil {
		return values(waits, "", last)
	}
	if name, value, ok := strings.Cut(last, "="); ok && strings.HasPrefix(last, "-") {
		if f := flagOf(node, name); f != nil {
			return values(f, name+"=", value)
		}
		return nil
	}
	if strings.HasPrefix(last, "-") {
		return flagNames(node, last)
	}
	var found []string
	for _, c := range node.Children {
		if !c.Hidden && strings.HasPrefix(c.Name, last) {
			found = append(found, c.Name+"\t"+c.Help)
		}
	}
	return found
}

// joined puts together what bash takes apart: a flag, "=" and a value. Bash replaces
// the value alone then, so that the value is what is completed.
func joined(words []string) []string {
	var whole []string
	for i, w := range words {
		if w == "=" {
			if i == len(words)-1 {
				whole = append(whole, "")
			}
			continue
		}
		whole = append(whole, w)
	}
	return whole
}

func flagOf(node *kong.Node, word string) *kong.Flag {
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	for n := node; n != nil; n = n.Parent {
		for _, f := range n.Flags {
			if f.Name == name || (f.Short != 0 && string(f.Short) == name) {
				return f
			}
		}
	}
	return nil
}

func flagNames(node *kong.Node, typed string) []string {
	var found []string
	for n := node; n != nil; n = n.Parent {
		for _, f := range n.Flags {
			if word := "--" + f.Name; !f.Hidden && strings.HasPrefix(word, typed) {
				first, _, _ := strings.Cut(f.Help, ". ")
				found = append(found, word+"\t"+strings.TrimSuffix(first, "."))
			}
		}
	}
	return found
}

func values(f *kong.Flag, before, typed string) []string {
	var found []string
	for _, v := range f.EnumSlice() {
		if strings.HasPrefix(v, typed) {
			found = append(found, before+v)
		}
	}
	return found
}

// meant are the commands whose last word is one that was given where it is none: who
// types "list" may look for "jobs list".
func meant(app *kong.Node, args []string) string {
	var found []string
	for _, leaf := range app.Leaves(true) {
		if slices.Contains(args, leaf.Name) && leaf.Parent != app {
			found = append(found, strings.TrimSpace(leaf.Path()))
		}
	}
	if len(found) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(found, " or ") + "?"
}
