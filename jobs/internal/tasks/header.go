package tasks

import (
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"time"
)

// The headers of a task, as stored.
const (
	headerApp     = "lm-app"
	headerID      = "lm-id"
	headerGen     = "lm-gen"
	headerCodec   = "lm-codec"
	headerOptions = "lm-opt"
	// headerPlain marks the task of a plain job. Its value is the time when it
	// was made and the job's options.
	headerPlain = "lm-plain"
)

// Header is what a task says of its job.
type Header struct {
	// App is the prefix of the application that enqueued it.
	App string
	// ID is the job's, Gen its generation.
	ID  string
	Gen int
	// Codec is how the arguments are encoded, Options the job's options.
	Codec, Options string
	// Plain is true for a plain job, which was made at Made.
	Plain bool
	Made  time.Time
}

// ErrNoJob is a task that is not a job's.
var ErrNoJob = errors.New("the task has no job")

// Encode returns the headers to store.
func (h Header) Encode() map[string]string {
	m := map[string]string{headerApp: h.App, headerID: h.ID, headerCodec: h.Codec}
	if h.Plain {
		m[headerPlain] = strconv.FormatInt(h.Made.UnixMilli(), 10) + " " + h.Options
	} else {
		m[headerGen], m[headerOptions] = strconv.Itoa(h.Gen), h.Options
	}
	return m
}

// ParseHeader reads what Encode wrote.
func ParseHeader(m map[string]string) (Header, error) {
	h := Header{App: m[headerApp], ID: m[headerID], Codec: m[headerCodec], Options: m[headerOptions]}
	if h.ID == "" {
		return h, ErrNoJob
	}
	v, plain := m[headerPlain]
	if !plain {
		gen, err := strconv.Atoi(m[headerGen])
		if err != nil {
			return h, ErrNoJob
		}
		h.Gen = gen
		return h, nil
	}
	at, options, _ := strings.Cut(v, " ")
	made, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return h, ErrNoJob
	}
	h.Gen, h.Plain, h.Made, h.Options = 1, true, time.UnixMilli(made), options
	return h, nil
}

// Mark returns what the message of each task of an application holds as a field
// of its own: the header that names the application, as protobuf writes an entry
// of a map.
func Mark(app string) string {
	b := append([]byte{1<<3 | 2, byte(len(headerApp))}, headerApp...)
	b = binary.AppendUvarint(append(b, 2<<3|2), uint64(len(app)))
	return string(append(b, app...))
}

// IsPlain tells whether the headers are those of a plain job.
func IsPlain(m map[string]string) bool { return m[headerPlain] != "" }
