package redisstream

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lastmile/push"
)

// entryOf builds an entry from its stored form.
func entryOf(session string, seq, prev push.Seq, id, payload string) push.Entry {
	e := push.Entry{Seq: seq, Prev: prev}
	m, err := push.DecodeMessage([]byte(payload))
	if err != nil {
		e.Err = err
	} else {
		e.Message = m
	}
	e.Session, e.ID = session, id
	return e
}

// entriesOf reads a script's XRANGE reply.
func entriesOf(session string, reply any) []push.Entry {
	list, _ := reply.([]any)
	out := make([]push.Entry, 0, len(list))
	for _, x := range list {
		pair, _ := x.([]any)
		if len(pair) != 2 {
			continue
		}
		id, _ := pair[0].(string)
		fields, _ := pair[1].([]any)
		var prev push.Seq
		var job, payload string
		for i := 0; i+1 < len(fields); i += 2 {
			value, _ := fields[i+1].(string)
			switch fields[i] {
			case "v":
				prev = seqOf(value)
			case "j":
				job = value
			case "p":
				payload = value
			}
		}
		out = append(out, entryOf(session, streamSeq(id), prev, job, payload))
	}
	return out
}

// parkedOf reads alternating seqs and parked values and returns the entries in
// order.
func parkedOf(session string, reply any) []push.Entry {
	list, _ := reply.([]any)
	out := make([]push.Entry, 0, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		value, _ := list[i+1].(string)
		prev, id, payload, err := unpack(value)
		e := entryOf(session, seqOf(list[i]), prev, id, payload)
		if err != nil {
			e.Err = err
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b push.Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	return out
}

// unpack reads lib.lua's pack.
func unpack(s string) (prev push.Seq, id, payload string, err error) {
	v, rest, _ := strings.Cut(s, ":")
	length, rest, _ := strings.Cut(rest, ":")
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 || n > len(rest) {
		return 0, "", "", fmt.Errorf("%w: parked form", push.ErrDecode)
	}
	return seqOf(v), rest[:n], rest[n:], nil
}

// seqOf reads a Seq from a reply; what is none reads as zero.
func seqOf(reply any) push.Seq {
	switch v := reply.(type) {
	case string:
		s, _ := push.ParseSeq(v)
		return s
	case int64:
		return push.Seq(max(0, v))
	}
	return 0
}

// streamSeq reads a Seq from a mailbox entry's stream ID.
func streamSeq(id string) push.Seq {
	ms, _, _ := strings.Cut(id, "-")
	return seqOf(ms)
}

// streamID is the other way round.
func streamID(s push.Seq) string { return s.String() + "-0" }
