package config

import (
	"regexp"
	"strconv"
	"strings"
)

// hidden stands where an argument was that may be secret.
const hidden = "(not shown)"

// word is an argument that may be repeated when it is not understood: a command
// that was misspelt, for one.
var word = regexp.MustCompile(`^[a-z-]{1,20}$`)

// scrub takes arguments that may hold a password out of what is said of them: a
// URL under another flag's name, or without any. What was not even understood may
// be anything.
func scrub(message string, args []string, unknown bool) string {
	for _, arg := range args {
		values := []string{arg}
		if _, value, ok := strings.Cut(arg, "="); ok {
			values = append(values, value)
		}
		flag := strings.HasPrefix(arg, "-")
		for i, v := range values {
			bare := i == 0 && !flag && !word.MatchString(v) || strings.Contains(v, "://")
			if v == "" || (!strings.Contains(v, "@") && (!unknown || !bare)) {
				continue
			}
			quoted := strconv.Quote(v)
			message = strings.ReplaceAll(message, quoted, hidden)
			message = strings.ReplaceAll(message, quoted[1:len(quoted)-1], hidden)
			message = strings.ReplaceAll(message, v, hidden)
		}
	}
	return message
}
