package jobs

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// errDied is the end of a job whose attempts its workers did not survive.
var errDied = errors.New("the worker died in the last attempt")

// maxFailures is how many errors a record keeps; entry.lua has the number too.
const maxFailures = 10

// Failure is an attempt that failed.
type Failure struct {
	// At is when it did.
	At time.Time
	// Gen and Attempt say which attempt of which generation it was. Attempt is 0
	// for a job that was lost before it ran.
	Gen, Attempt int
	// Worker is the process that ran it, as host and process number; empty when
	// the worker died before the record knew of it.
	Worker string
	// Code is the error's code, as in Info; Message is the error itself, of at
	// most 512 bytes. It may tell what users should not read.
	Code, Message string
}

// keptFailure is a Failure as stored, behind its time.
type keptFailure struct {
	Gen     int    `json:"g"`
	Attempt int    `json:"a"`
	Worker  string `json:"w,omitempty"`
	Code    string `json:"c"`
	Message string `json:"m"`
}

// failure returns the error of this attempt for the record to keep.
func (x *execution) failure(code string, err error) string {
	var text string
	if err != nil {
		text = err.Error()
	}
	return kept(x.gen, x.attempt, x.pool.name, code, text)
}

func kept(gen, attempt int, worker, code, message string) string {
	message = shorten(strings.ToValidUTF8(message, "\uFFFD"), maxMessage)
	b, err := json.Marshal(keptFailure{gen, attempt, worker, shorten(code, maxCode), message})
	if err != nil {
		return "" // it is of numbers and texts
	}
	return string(b)
}

// failures reads the ring that entry.lua writes, oldest first.
func (p *fieldParser) failures() []Failure {
	n := int(p.num("errs"))
	var out []Failure
	for i := max(0, n-maxFailures); i < n; i++ {
		text, ok := p.m["e"+strconv.Itoa(i%maxFailures)]
		if !ok {
			continue
		}
		at, rest, _ := strings.Cut(text, " ")
		var k keptFailure
		when, err := strconv.ParseInt(at, 10, 64)
		if err := errors.Join(err, json.Unmarshal([]byte(rest), &k)); err != nil {
			p.err = errors.Join(p.err, fmt.Errorf("failure %d: %w", i, err))
			continue
		}
		out = append(out, Failure{time.UnixMilli(when), k.Gen, k.Attempt, k.Worker, k.Code, k.Message})
	}
	return out
}

// workerName names this process for people.
func workerName() string {
	host, _ := os.Hostname() // without one the number has to do
	host = strings.Map(func(r rune) rune {
		if r <= ' ' || r == '"' || r == '\\' || r > '~' {
			return '_'
		}
		return r
	}, host)
	return shorten(cmp.Or(host, "host"), maxNameLen) + ":" + strconv.Itoa(os.Getpid())
}
