package upgrade_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
)

// binary begins the JSON form of bytes that are no text.
const binary = "\x00base64:"

// blob is a Redis string in JSON: text where it is text.
type blob string

func (b blob) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(b)) && !strings.HasPrefix(string(b), binary) {
		return json.Marshal(string(b))
	}
	return json.Marshal(binary + base64.StdEncoding.EncodeToString([]byte(b)))
}

func (b *blob) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	if rest, ok := strings.CutPrefix(s, binary); ok {
		raw, err := base64.StdEncoding.DecodeString(rest)
		*b = blob(raw)
		return err
	}
	*b = blob(s)
	return nil
}

// key is a key of Redis with all that is in it. Values are in the order that the
// commands of its type take: field and value, score and member, or the items.
type key struct {
	Key    blob          `json:"key"`
	Type   string        `json:"type"`
	TTL    time.Duration `json:"ttl,omitempty"`
	Values []blob        `json:"values,omitempty"`
	// Entries and Last are a stream's: each entry's ID and fields, and the ID that it
	// gave last.
	Entries [][]blob `json:"entries,omitempty"`
	Last    string   `json:"last,omitempty"`
}

// save returns all keys of a Redis, by name.
func save(ctx context.Context, c redis.UniversalClient) ([]key, error) {
	names, err := c.Keys(ctx, "*").Result()
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	keys := make([]key, len(names))
	for i, name := range names {
		if keys[i], err = saveKey(ctx, c, name); err != nil {
			return nil, fmt.Errorf("save %q: %w", name, err)
		}
	}
	return keys, nil
}

func saveKey(ctx context.Context, c redis.UniversalClient, name string) (key, error) {
	kind, err := c.Type(ctx, name).Result()
	if err != nil {
		return key{}, err
	}
	k := key{Key: blob(name), Type: kind}
	if ttl := c.PTTL(ctx, name).Val(); ttl > 0 {
		k.TTL = ttl
	}
	switch kind {
	case "string":
		v, err := c.Get(ctx, name).Result()
		k.Values = []blob{blob(v)}
		return k, err
	case "hash":
		all, err := c.HGetAll(ctx, name).Result()
		for f, v := range all {
			k.Values = append(k.Values, blob(f), blob(v))
		}
		return k, err
	case "list":
		all, err := c.LRange(ctx, name, 0, -1).Result()
		for _, v := range all {
			k.Values = append(k.Values, blob(v))
		}
		return k, err
	case "set":
		all, err := c.SMembers(ctx, name).Result()
		for _, v := range all {
			k.Values = append(k.Values, blob(v))
		}
		return k, err
	case "zset":
		all, err := c.ZRangeWithScores(ctx, name, 0, -1).Result()
		for _, z := range all {
			k.Values = append(k.Values, blob(fmt.Sprintf("%.17g", z.Score)), blob(fmt.Sprint(z.Member)))
		}
		return k, err
	case "stream":
		return saveStream(ctx, c, k)
	}
	return key{}, errors.New("no such type is known: " + kind)
}

func saveStream(ctx context.Context, c redis.UniversalClient, k key) (key, error) {
	info, err := c.XInfoStream(ctx, string(k.Key)).Result()
	if err != nil {
		return key{}, err
	}
	k.Last = info.LastGeneratedID
	entries, err := c.Do(ctx, "XRANGE", string(k.Key), "-", "+").Slice() // in the order of the fields
	for _, e := range entries {
		pair, _ := e.([]any)
		fields, _ := pair[1].([]any)
		entry := []blob{blob(fmt.Sprint(pair[0]))}
		for _, f := range fields {
			entry = append(entry, blob(fmt.Sprint(f)))
		}
		k.Entries = append(k.Entries, entry)
	}
	return k, err
}

// load puts keys into an empty Redis.
func load(ctx context.Context, c redis.UniversalClient, keys []key) error {
	for _, k := range keys {
		for _, command := range k.commands() {
			if err := c.Do(ctx, command...).Err(); err != nil {
				return fmt.Errorf("load %q: %w", k.Key, err)
			}
		}
		if k.TTL > 0 {
			if err := c.PExpire(ctx, string(k.Key), k.TTL).Err(); err != nil {
				return fmt.Errorf("load the lifetime of %q: %w", k.Key, err)
			}
		}
	}
	return nil
}

// commands returns what makes the key.
func (k key) commands() [][]any {
	name := string(k.Key)
	args := func(command, name string, values []blob) []any {
		all := []any{command, name}
		for _, v := range values {
			all = append(all, string(v))
		}
		return all
	}
	switch k.Type {
	case "string":
		return [][]any{args("SET", name, k.Values)}
	case "hash":
		return [][]any{args("HSET", name, k.Values)}
	case "list":
		return [][]any{args("RPUSH", name, k.Values)}
	case "set":
		return [][]any{args("SADD", name, k.Values)}
	case "zset":
		return [][]any{args("ZADD", name, k.Values)}
	}
	var all [][]any
	for _, e := range k.Entries {
		all = append(all, args("XADD", name, e))
	}
	if n := len(k.Entries); n == 0 || string(k.Entries[n-1][0]) != k.Last {
		// What gave the last ID is trimmed.
		all = append(all, []any{"XADD", name, k.Last, "gone", "1"}, []any{"XDEL", name, k.Last})
	}
	return all
}
