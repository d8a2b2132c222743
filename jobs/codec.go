package jobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Codec encodes the arguments of a kind's jobs, see [Codecs]. Both functions
// are called from many goroutines at a time.
type Codec struct {
	// Name is stored with each job and tells how to read it: name and version,
	// such as "proto/2", at most 64 bytes. "json/1" is the package's own.
	Name string
	// Encode turns arguments into bytes. With [Unique] equal arguments have to
	// give equal bytes.
	Encode func(v any) ([]byte, error)
	// Decode fills v, a pointer, from bytes that Encode made.
	Decode func(data []byte, v any) error
}

// codecJSON is what a kind without another codec uses. Results are always JSON:
// they become the data of pushes.
const codecJSON = "json/1"

// Codecs is for [Define]: its jobs' arguments are encoded with c, in place of
// JSON. Jobs whose arguments are JSON or were encoded with one of the older
// codecs can still be run, so a change of form needs no empty queue. A worker
// that does not know a job's codec leaves it to one that does, see
// PoolConfig.VersionSkew.
func Codecs(c Codec, older ...Codec) Option {
	return Option{func(s *settings) { s.codecs = append([]Codec{c}, older...) }}
}

// codec returns the name of the codec that encodes, "" for JSON.
func (s *settings) codec() string {
	if len(s.codecs) == 0 {
		return ""
	}
	return s.codecs[0].Name
}

func (s *settings) checkCodecs() error {
	for i, c := range s.codecs {
		same := func(o Codec) bool { return o.Name == c.Name }
		if c.Name == "" || len(c.Name) > 64 || c.Name == codecJSON || c.Encode == nil || c.Decode == nil || slices.ContainsFunc(s.codecs[:i], same) {
			return fmt.Errorf("%w: codec %q needs a name of its own, Encode and Decode", ErrInvalid, c.Name)
		}
	}
	return nil
}

// encode writes arguments.
func (d *definition) encode(v any) ([]byte, error) {
	encode := json.Marshal
	if len(d.base.codecs) > 0 && d.err == nil {
		encode = d.base.codecs[0].Encode
	}
	b, err := encode(v)
	if err != nil {
		return nil, fmt.Errorf("%w: arguments: %w", ErrInvalid, err)
	}
	if len(b) > maxArgs {
		return nil, fmt.Errorf("%w: arguments of %d bytes, at most %d are allowed", ErrInvalid, len(b), maxArgs)
	}
	return b, nil
}

// errCodec means that this program does not know how the arguments are encoded.
var errCodec = errors.New("unknown codec")

// decode reads arguments that the named codec wrote; "" is JSON.
func (d *definition) decode(codec string, b []byte, v any) error {
	if codec == "" || codec == codecJSON {
		return json.Unmarshal(b, v)
	}
	for _, c := range d.base.codecs {
		if c.Name == codec {
			return c.Decode(b, v)
		}
	}
	return fmt.Errorf("%w %q", errCodec, codec)
}

// with returns the kind's settings under options.
func (d *definition) with(opts []Option) (settings, error) {
	s := d.base
	for _, o := range opts {
		o.apply(&s)
	}
	if s.codec() != d.base.codec() {
		return s, fmt.Errorf("%w: Codecs is an option of Define", ErrInvalid)
	}
	return s, s.check()
}

// shown returns arguments as JSON to look at: as they are, or as a string of
// base64 when they are not JSON.
func shown(args []byte) json.RawMessage {
	if len(args) == 0 {
		return nil
	}
	if json.Valid(args) {
		return args
	}
	b, _ := json.Marshal(args) // bytes always marshal
	return b
}
