package redisstream

import (
	"slices"
	"strings"

	"lastmile/internal/permission"
)

// permanentCodes begin errors of Redis that stay until somebody changes its
// set-up, or what is in it. NOSCRIPT does: each script goes by its source when
// the server does not know its digest.
var permanentCodes = []string{"NOPERM", "WRONGTYPE", "NOSCRIPT", "CROSSSLOT", "NOPROTO"}

// permanentTexts are parts of those with the code ERR, which stands for anything,
// and of what Redis 6.2 says of a command within a script.
var permanentTexts = []string{
	"unknown command", "unknown subcommand", "unknown redis command", "not allowed from script", "error compiling script",
	"can't run this command", "can't access at least one of the keys", "wrong number of arg", "syntax error",
	"wrongtype operation", "command arguments must be", "is not an integer", "is not a valid float", "db index is out of range", "not allowed in cluster mode",
}

// permanent tells the errors that repeating cannot help: not READONLY, OOM,
// MISCONF, LOADING, BUSY, and what else passes by itself, and no wrong password,
// which may be in the middle of a change.
func permanent(err error) bool {
	refusal, ok := permission.Answer(err)
	if !ok {
		return false
	}
	code, _, _ := strings.Cut(refusal, " ")
	if slices.Contains(permanentCodes, code) {
		return true
	}
	text := strings.ToLower(refusal)
	return code == "ERR" && slices.ContainsFunc(permanentTexts, func(part string) bool { return strings.Contains(text, part) })
}
