package push

import (
	"crypto/rand"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// DefaultPrefix begins the names of everything that is stored, unless the
// configuration of whoever stores it says otherwise. What belongs to one
// application has one prefix.
const DefaultPrefix = "lm"

const (
	// MaxIDLen bounds session IDs, push IDs and Replaces keys, in bytes.
	MaxIDLen = 128
	// MaxActionLen bounds action names, in bytes.
	MaxActionLen = 128
)

// NewID returns a random ID with at least 128 bits of randomness, fit to name
// a session or a push.
func NewID() string { return rand.Text() }

// ValidAction returns an error that wraps ErrInvalid unless name can be an
// action: the name of an exported Go method of at most MaxActionLen bytes.
func ValidAction(name string) error {
	if name == "" {
		return fmt.Errorf("%w: no action", ErrInvalid)
	}
	if len(name) > MaxActionLen {
		return fmt.Errorf("%w: action name of %d bytes, at most %d are allowed", ErrInvalid, len(name), MaxActionLen)
	}
	for i, r := range name {
		switch {
		case i == 0 && !unicode.IsUpper(r):
			return fmt.Errorf("%w: action %q is not an exported method name", ErrInvalid, name)
		case r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r):
			return fmt.Errorf("%w: action %q holds %q", ErrInvalid, name, r)
		}
	}
	return nil
}

// Redact returns the beginning of a session ID, short enough for a log: the
// whole ID is a secret.
func Redact(session string) string {
	cut := min(6, len(session)/2)
	for cut > 0 && !utf8.RuneStart(session[cut]) {
		cut--
	}
	return session[:cut] + "…"
}

// checkID reports what is wrong with an ID. The value may be a secret, so it
// is not part of the message.
func checkID(what, id string) error {
	if len(id) > MaxIDLen {
		return fmt.Errorf("%w: %s of %d bytes, at most %d are allowed", ErrInvalid, what, len(id), MaxIDLen)
	}
	if !utf8.ValidString(id) {
		return fmt.Errorf("%w: %s is not valid UTF-8", ErrInvalid, what)
	}
	for _, r := range id {
		if unicode.IsControl(r) {
			return fmt.Errorf("%w: %s holds the control character %U", ErrInvalid, what, r)
		}
	}
	return nil
}
