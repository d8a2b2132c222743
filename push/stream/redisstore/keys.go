package redisstore

import (
	"net/url"
	"strconv"

	"lastmile/push/stream"
)

// KeySpec describes one kind of key. See KeyTable.
type KeySpec struct {
	// Name is the key's form: <p> stands for the prefix.
	Name string
	// Type is what Redis's TYPE says.
	Type string
	// Lifetime says when it goes, Bound what keeps it from growing.
	Lifetime, Bound string
}

// KeyTable returns every kind of key that this package writes.
func KeyTable() []KeySpec {
	return []KeySpec{
		{Name: "<p>:{<group>}:s:<name>", Type: "hash", Lifetime: "the stream's; of a deleted one with forks 30 days at most", Bound: "30 fields, and one a producer (MaxProducers)"},
		{Name: "<p>:{<group>}:d:<name>", Type: "stream", Lifetime: "the stream's", Bound: "the stream's MaxBytes, or Keep"},
	}
}

// tag returns what all keys of a group begin with. A brace within the group
// would end the hash tag.
func (s *Store) tag(group string) string {
	return s.cfg.Prefix + ":{" + url.PathEscape(group) + "}:"
}

// names returns the names of a stream's hash and bytes.
func (s *Store) names(key stream.Key) []string {
	tag := s.tag(key.Group)
	return []string{tag + "s:" + key.Name, tag + "d:" + key.Name}
}

// channel returns where readers of a stream listen. One server's channels are
// heard in all of its databases.
func (s *Store) channel(key stream.Key) string {
	return s.tag(key.Group) + "c:" + strconv.Itoa(s.db) + ":" + key.Name
}

// source returns the key of another stream in the group.
func source(key stream.Key, name string) stream.Key { return stream.Key{Group: key.Group, Name: name} }
