package redisstream

import (
	"hash/fnv"
	"strconv"
	"strings"
)

// KeySpec describes one kind of key. See KeyTable.
type KeySpec struct {
	// Name is the key's form. <p> stands for the prefix, {t} for a
	// partition's hash tag.
	Name string
	// Type is what Redis's TYPE says.
	Type string
	// Owner is the operation that creates it.
	Owner string
	// Lifetime says when it goes; Expires is true when it always has a TTL.
	Lifetime string
	Expires  bool
	// Bound says what keeps it, or their number, from growing.
	Bound string

	// part is the letter behind the tag, or the name behind the prefix.
	part string
}

// KeyTable returns every kind of key that this package writes. All keys of one
// session share its partition's hash tag, and so a slot of a cluster.
func KeyTable() []KeySpec {
	return []KeySpec{
		{part: "cfg", Name: "<p>:cfg", Type: "string", Owner: "first use", Lifetime: "for ever", Bound: "one: layout version and number of partitions"},
		{part: "epoch", Name: "<p>:epoch", Type: "string", Owner: "first use", Lifetime: "until the store is emptied", Bound: "one"},
		{part: "secret", Name: "<p>:secret", Type: "string", Owner: "Secret", Lifetime: "for ever", Bound: "one of 32 bytes"},
		{part: "nodes", Name: "<p>:nodes", Type: "zset", Owner: "Listen", Lifetime: "10 node lifetimes after the last node", Expires: true, Bound: "one member a node that listens"},
		{part: "m", Name: "<p>:{t}:m:<session>", Type: "hash", Owner: "Append, Attach, Check", Lifetime: "MaxAge + 1 day after the last use", Expires: true, Bound: "8 fields and one a node that holds connections"},
		{part: "b", Name: "<p>:{t}:b:<session>", Type: "stream", Owner: "Append", Lifetime: "MaxAge + 1 day; the resume window when all is acknowledged; deleted when empty", Expires: true, Bound: "MailboxLen entries, parked ones included, and a quarter more of ends"},
		{part: "k", Name: "<p>:{t}:k:<session>", Type: "hash", Owner: "Ack", Lifetime: "MaxAge + 1 day; deleted when empty", Expires: true, Bound: "as the mailbox, together with it"},
		{part: "u", Name: "<p>:{t}:u:<session>", Type: "hash", Owner: "Append of a push that replaces", Lifetime: "MaxAge + 1 day after the last such push", Expires: true, Bound: "2 x MailboxLen fields: keys whose push has gone are dropped first, then the oldest ends; those of pushes that wait stay"},
		{part: "x", Name: "<p>:{t}:x:<session>", Type: "hash", Owner: "CountStart", Lifetime: "1 day; a field until its entry is acknowledged, survived, or dead-lettered for another reason than crash-loop", Expires: true, Bound: "a field a redelivered entry"},
		{part: "d", Name: "<p>:{t}:d:<session>:<push ID>", Type: "string", Owner: "Append", Lifetime: "DedupeTTL", Expires: true, Bound: "pushes per DedupeTTL"},
		{part: "n", Name: "<p>:{t}:n:<node>", Type: "stream", Owner: "Listen, Attach", Lifetime: "NodeTTL, renewed by its node; deleted at a clean stop", Expires: true, Bound: "one a node on a single server, in the first partition; NodeStreamLen entries a partition; its node trims what it has read"},
		{part: "c", Name: "<p>:{t}:c:<session>:<connection>", Type: "hash", Owner: "CreateConn, Commit", Lifetime: "Commit.ConnTTL", Expires: true, Bound: "one a connection"},
		{part: "v", Name: "<p>:{t}:v:<session>:<view>", Type: "hash", Owner: "Commit", Lifetime: "Commit.ViewTTL", Expires: true, Bound: "one a view"},
		{part: "o", Name: "<p>:{t}:o", Type: "zset", Owner: "Append", Lifetime: "while a push of a session is unacknowledged", Bound: "a member a session with unacknowledged pushes"},
		{part: "q", Name: "<p>:{t}:q", Type: "stream", Owner: "DeadLetter, housekeeping", Lifetime: "for ever", Bound: "DeadLetterLen entries"},
		{part: "l", Name: "<p>:{t}:l", Type: "string", Owner: "housekeeping", Lifetime: "30 s", Expires: true, Bound: "one a partition"},
	}
}

// SpecOf returns the row of KeyTable that key belongs to.
func SpecOf(prefix, key string) (KeySpec, bool) {
	rest, ok := strings.CutPrefix(key, prefix+":")
	if !ok {
		return KeySpec{}, false
	}
	if tagged, isTagged := strings.CutPrefix(rest, "{"); isTagged {
		if _, rest, ok = strings.Cut(tagged, "}:"); !ok {
			return KeySpec{}, false
		}
	}
	part, _, _ := strings.Cut(rest, ":")
	for _, s := range KeyTable() {
		if s.part == part {
			return s, true
		}
	}
	return KeySpec{}, false
}

// keys builds the names of the keys.
type keys struct {
	prefix string
	db     int      // the database's number
	tags   []string // by partition: "<prefix>:{<tag>}:"
}

func newKeys(prefix string, partitions int) keys {
	k := keys{prefix: prefix, tags: balancedTags(partitions)}
	for i, tag := range k.tags {
		k.tags[i] = prefix + ":{" + tag + "}:"
	}
	return k
}

// partition returns the partition of a session.
func (k keys) partition(session string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(session))
	return int(h.Sum32() % uint32(len(k.tags))) //nolint:gosec // a small positive number
}

// box holds the names of the keys that a session has one of each.
type box struct {
	p                                       int
	tag, session                            string
	meta, mailbox, parked, replaces, starts string
	unacked, dead                           string
}

func (k keys) box(session string) box {
	p := k.partition(session)
	tag := k.tags[p]
	return box{
		p: p, tag: tag, session: session,
		meta: tag + "m:" + session, mailbox: tag + "b:" + session, parked: tag + "k:" + session,
		replaces: tag + "u:" + session, starts: tag + "x:" + session,
		unacked: tag + "o", dead: tag + "q",
	}
}

func (b box) dedupe(id string) string { return b.tag + "d:" + escape(b.session) + ":" + id }
func (b box) conn(id string) string   { return b.tag + "c:" + escape(b.session) + ":" + id }
func (b box) view(name string) string { return b.tag + "v:" + escape(b.session) + ":" + name }

func (k keys) node(p int, name string) string { return k.tags[p] + "n:" + name }
func (k keys) lease(p int) string             { return k.tags[p] + "l" }
func (k keys) unacked(p int) string           { return k.tags[p] + "o" }
func (k keys) dead(p int) string              { return k.tags[p] + "q" }
func (k keys) config() string                 { return k.prefix + ":cfg" }
func (k keys) epoch() string                  { return k.prefix + ":epoch" }
func (k keys) secret() string                 { return k.prefix + ":secret" }
func (k keys) nodes() string                  { return k.prefix + ":nodes" }

// channel names a topic's channel. A server's channels are heard in all of its
// databases, so the database's number is part of the name.
func (k keys) channel(topic string) string {
	return escape(k.prefix) + ":t:" + strconv.Itoa(k.db) + ":" + topic
}

// escape keeps two names joined by a colon from reading as two others: no
// session may reach another's keys by its choice of ID.
func escape(s string) string {
	if !strings.ContainsAny(s, ":%") {
		return s
	}
	return strings.NewReplacer("%", "%25", ":", "%3A").Replace(s)
}

const slots = 16384

// balancedTags returns n hash tags whose slots lie one in each n-th of the
// slots, so that masters with equal shares of slots get equal shares of
// partitions. The result depends on n alone.
func balancedTags(n int) []string {
	tags := make([]string, n)
	for i, missing := 0, n; missing > 0; i++ {
		tag := strconv.Itoa(i)
		if p := int(crc16(tag)) % slots * n / slots; tags[p] == "" {
			tags[p] = tag
			missing--
		}
	}
	return tags
}

// crc16 is the checksum (XMODEM) that Redis Cluster maps keys to slots with.
func crc16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc ^= uint16(s[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
