// Package permission tries commands on keys of its own and says which access rule
// of Redis is missing, in words for an operator.
//
// It knows commands and their answers, and not what they are for: package
// push/redisstream lists what pushes need, internal/readiness what jobs do. It
// changes nothing but the keys that it is given.
package permission

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Aborted stands before what made an EXEC fail.
const Aborted = "EXECABORT Transaction discarded because of: "

// Answer returns what Redis has answered, if err comes from that.
func Answer(err error) (string, bool) {
	for ; err != nil; err = unwrap(err) {
		if r, ok := err.(redis.Error); ok { //nolint:errorlint // each step is looked at
			return strings.TrimPrefix(r.Error(), Aborted), true
		}
	}
	return "", false
}

func unwrap(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return nil
}

// Denied is a command that Redis has refused.
type Denied struct {
	Command, Answer string
}

// Commands splits a list at its bars.
func Commands(list string) []string {
	return strings.Split(strings.ReplaceAll(list, "\n", ""), "|")
}

// Name returns a command line's command.
func Name(line string) string {
	name, _, _ := strings.Cut(line, " ")
	return name
}

// Try runs each command line in one pipeline and returns those that were
// refused. A word that keys names stands for that key. An error means that Redis
// could not be asked. A line whose name begins with '-' is not told of: it
// tidies up.
func Try(ctx context.Context, server redis.Cmdable, lines []string, keys map[string]string) ([]Denied, error) {
	cmds := make([]*redis.Cmd, len(lines))
	_, _ = server.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, line := range lines {
			var args []any
			for n, word := range strings.Split(strings.TrimPrefix(line, "-"), " ") {
				if key, ok := keys[word]; ok && n > 0 {
					word = key
				}
				args = append(args, word)
			}
			cmds[i] = pipe.Do(ctx, args...)
		}
		return nil
	}) // each command has its own error
	var denied []Denied
	for i, cmd := range cmds {
		answer, ok := Answer(cmd.Err())
		switch {
		case cmd.Err() == nil, errors.Is(cmd.Err(), redis.Nil), strings.HasPrefix(lines[i], "-"):
		case ok:
			denied = append(denied, Denied{Name(lines[i]), answer})
		default:
			return nil, cmd.Err()
		}
	}
	return denied, nil
}

// Who returns the name of the client's user; not every user may ask.
func Who(ctx context.Context, client redis.UniversalClient) string {
	if name, err := client.Do(ctx, "ACL", "WHOAMI").Text(); err == nil {
		return "user " + name
	}
	return "this program's user"
}

// Rules are the user, and the rules that it should have.
type Rules struct {
	// User as it begins a sentence.
	User string
	// Keys and Channels are rules, as in "~lm:*" and "&lm:*".
	Keys, Channels string
}

// Text says what is missing, or "" for an answer that is of the moment or does
// not come from a rule.
func (r Rules) Text(d Denied) string {
	lower := strings.ToLower(d.Answer)
	switch {
	case strings.Contains(lower, "unknown command"):
		return fmt.Sprintf("the server does not know %s: it is renamed, or the server is not Redis 6.2 or later", d.Command)
	case !strings.HasPrefix(d.Answer, "NOPERM"):
		return ""
	case strings.Contains(lower, "permissions to run"):
		return fmt.Sprintf("%s may not run %s: +%s is missing", r.User, d.Command, strings.ToLower(d.Command))
	case strings.Contains(lower, "channel"):
		return fmt.Sprintf("%s may not use the channels of this program: %s is missing", r.User, r.Channels)
	case strings.Contains(lower, "key"):
		return fmt.Sprintf("%s may not use the keys of this program: %s is missing", r.User, r.Keys)
	}
	return fmt.Sprintf("%s may not run %s: %s", r.User, d.Command, d.Answer)
}
