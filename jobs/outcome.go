package jobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hibiken/asynq"
)

// outcome is how a handler ended. cause is why its context ended, if it did.
type outcome struct {
	result []byte
	err    error
	cause  error
}

// errExited is a handler that called runtime.Goexit.
var errExited = &panicError{value: "the handler ended its goroutine"}

// maxErrorText bounds what operators are shown of a handler's error.
const maxErrorText = 8 << 10

// tame returns a handler's error in a form that Asynq can store, that says
// nothing to Asynq, and that has been asked once where a panic is caught: a
// typed nil whose methods panic would end the process later.
func tame(err error) error {
	if err == nil {
		return nil
	}
	text := storable(err.Error())
	if errors.Is(err, asynq.SkipRetry) || errors.Is(err, asynq.RevokeTask) {
		code, message := public(err)
		return Discard(&codedError{code, message, errors.New(text)})
	}
	return &tamedError{err, text}
}

// keep returns an adopted handler's error in a form that Asynq can store.
func keep(err error) error {
	if err == nil {
		return nil
	}
	return &tamedError{err, storable(err.Error())}
}

// storable makes a text valid for Asynq's messages, which refuse any other.
func storable(text string) string {
	return shorten(strings.ToValidUTF8(text, "\uFFFD"), maxErrorText)
}

type tamedError struct {
	err  error
	text string
}

func (e *tamedError) Error() string { return e.text }
func (e *tamedError) Unwrap() error { return e.err }

// checkResult holds what middleware made of a result to the form and bound of a
// handler's own.
func checkResult(b []byte) ([]byte, error) {
	switch {
	case len(b) == 0:
		return []byte("null"), nil
	case len(b) > maxResult:
		return nil, tooLarge(len(b))
	case !json.Valid(b):
		return nil, Discard(&codedError{codeResult, "the result cannot be stored", errors.New("middleware returned no JSON")})
	}
	return b, nil
}

func tooLarge(n int) error {
	err := fmt.Errorf("result of %d bytes, at most %d are allowed", n, maxResult)
	return Discard(&codedError{codeTooLarge, "the result is too large", err})
}
