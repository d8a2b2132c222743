package jobs

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// The Redis keys of this package, beside Asynq's own ("asynq:{P.<queue>}:...").
// P is the configured prefix, N a job's shard, D the number of the database: one
// server's channels are heard in all of its databases.
//
//	key                  type    owner           lifetime              bound
//	P:jobs:{jN}:r:<id>   hash    the job         retention after end   args 256 KiB, result 48 KiB
//	P:jobs:{jN}:w:<id>   hash    the job         as the record         one field a session beside the first that waits for it
//	P:jobs:{jN}:d:<id>   hash    the job         as the record         1,000 steps and 100 waits, 1 MiB
//	P:jobs:{jN}:open     zset    watchdogs       while jobs are open   one member a job: when to check it
//	P:jobs:{jN}:index    zset    the scripts     as the records        an entry a job, see entry.lua
//	P:jobs:{jN}:ends     zset    the scripts     as the records        the entries of what has ended, by when
//	P:jobs:{jN}:tidy     hash    watchdogs       a day                 2 fields: when and how far the index was compared
//	P:jobs:s:<session>   zset    Enqueue         as its jobs, 8 days+  200 jobs, newest kept
//	P:jobs:bulks         zset    RetryAll        while a bulk is not over  one member a bulk
//	P:jobs:bulk:<id>     hash    RetryAll        7 days                12 fields, a page of 50 jobs
//	P:jobs:cron          hash    cron            for good              6 fields an entry, its job 256 KiB
//	P:jobs:cancel:D      channel Cancel          -                     -
//	P:jobs:wake:D:<w>    channel enqueueing      -                     one a worker
//	P:jobs:idle:<list>   zset    workers         while workers live    one member a worker that waits, 1,000
//	P:jobs:own:<list>    zset    workers         while tasks are active  one member a task that a worker has: until when
//	P:jobs:leases        zset    workers         10 minutes, renewed   one member a length of leases that workers have
//	P:jobs:swept:<set>   hash    the sweep       an hour               2 fields, one a set of queues
//	P:jobs:sweep:<set>   hash    the sweep       an hour               2 fields, one a set of queues
//	P:jobs:none:D        channel -               -                     nobody publishes: see Pool.server
//	P:jobs:l:{<kind>:<k>}  zset  limits          a day, renewed        one member a running job
//	P:jobs:q:{<kind>:<k>}  string  rate limits   one period            one number
//	both with ":w"       zset    limits          2 days and a period, renewed  one member a job that waits for it
//	both with ":h"       hash    limits          a day and a period, renewed   one field a job that has a place, or was handed a token
//	both with ":e"       zset    Enqueue         2 days, renewed       one member a job that has not asked yet
//	P:jobs:limits        zset    limits          while jobs wait       one member a limit: when to look at it
//	P:jobs:came          string  Enqueue         for good              one number
//	P:jobs:{b<id>}       hash    batches         30 days + retention   steps to enqueue 32 MiB, 4 fields a member (1,000), results
//	P:jobs:{b<id>}:<tok> hash    Batch           an hour               what is staged for a batch
//	P:jobs:batches       zset    watchdogs       while a batch is to be filled  one member a batch
//	P:jobs:c:<chain>     hash    chains          30 days + retention, then retention  a field a step (1,000), 32 MiB
//
// The fields of a record, as the scripts name them:
//
//	gen fin     the generation, and the last one that ended: equal when the job is over
//	run att lim the fence, which each run raises; attempts begun, and how many there may be
//	st          the state
//	tok         the call that changed gen or run last, so that a repeat changes nothing
//	cancel      1 while a cancellation waits for the worker
//	to0 ton     the first destination, and how many there are
//	opened      the generation whose task may not be in the queue yet
//	out outn    1 while the event of the end is undelivered, and how often it was tried
//	told went   the generations whose end the first destination has, and whose end has set off what follows
//	joined      1 when somebody else has asked for a job that has not run
//	hb next uni when it was last heard of, when it is due, until when it is unique
//	made upd start end          times of its steps
//	wait        the name of the wait that it is in
//	came waits  its place in the order of jobs with limits, and the limit it waits for
//	kind queue pay opt follow   what it is, and what follows it
//	raw         the ID of an adopted task, whose queue is Asynq's own
//	frac msg res code err why   what it said, and how it ended
//	steps       how many bytes of durable steps there are
//	mute dead   runs in a row that left no word; how many workers died of it alone
//	worker errs e0 ... e9       who began the last attempt; how many failed, and the last ten of them
//
// With Asynq's hash of a task are fields of ours, gone with it:
//
//	lm          where its record is, once it knows of a run or from the start (take.lua)
//	lmh         the token of the hand-out, while a worker has it
//	lmw lmf     of another application's: until when its owner has the first choice, how often in vain
//	lmv         since when it waits for another version of the worker
//	lmno        the worker that could not run it last
//	lmlost lmdead lmalone lmsus  see deaths.go
//
// Two things always hold. A run's scripts change nothing unless gen is its own,
// and run too once it has one. And what ends a generation sets fin and, if
// anybody is to hear of it, out in the same script.
const (
	shards     = 16
	maxListed  = 200
	indexLife  = 8 * 24 * time.Hour
	maxArgs    = 256 << 10
	maxResult  = 48 << 10
	maxMessage = 512
	maxCode    = 64
)

type keys struct {
	prefix string
	db     int    // the database's number, in the names of channels
	queues string // begins the names of Asynq's queues
}

// newKeys names everything under a prefix in the database of rdb.
func newKeys(rdb redis.UniversalClient, prefix string) (keys, error) {
	if strings.ContainsAny(prefix, "{}") || strings.Contains(prefix+":", ":jobs:") {
		return keys{}, fmt.Errorf("jobs: prefix %q must hold neither braces nor \":jobs:\"", prefix)
	}
	k := keys{prefix: prefix, queues: queueEscapes.Replace(prefix) + "."}
	if c, ok := rdb.(interface{ Options() *redis.Options }); ok { // a cluster has one database
		k.db = c.Options().DB
	}
	return k, nil
}

// queueEscapes leaves a prefix without dots, so that the first dot of a queue's
// name in Asynq ends the prefix: "a" with "b.c" is not "a.b" with "c".
//
//nolint:gochecknoglobals // a constant that Go cannot spell
var queueEscapes = strings.NewReplacer("%", "%25", ".", "%2E")

// inAsynq returns the name that a queue has in Asynq. People are shown the
// queue's own.
func (k keys) inAsynq(queue string) string { return k.queues + queue }

// fromAsynq returns the queue of that name in Asynq, if it is one of ours.
func (k keys) fromAsynq(name string) (queue string, ours bool) {
	return strings.CutPrefix(name, k.queues)
}

func shard(id string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	return int(h.Sum32() % shards)
}

func (k keys) tag(n int) string         { return k.prefix + ":jobs:{j" + strconv.Itoa(n) + "}:" }
func (k keys) open(n int) string        { return k.tag(n) + "open" }
func (k keys) session(id string) string { return k.prefix + ":jobs:s:" + id }
func (k keys) cancel() string           { return k.channel("cancel") }

// channel names a channel of this prefix and database.
func (k keys) channel(name string) string {
	return k.prefix + ":jobs:" + name + ":" + strconv.Itoa(k.db)
}

// limitEscapes keep a limit's key from ending the part that names the slot.
//
//nolint:gochecknoglobals // a constant that Go cannot spell
var limitEscapes = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D", ":", "%3A", "\n", "%0A")

func (k keys) places(kind, key string) string {
	return k.prefix + ":jobs:l:{" + kind + ":" + limitEscapes.Replace(key) + "}"
}

func (k keys) rate(kind, key string) string {
	return k.prefix + ":jobs:q:{" + kind + ":" + limitEscapes.Replace(key) + "}"
}

// limitsInUse are those that somebody waits for; counter numbers jobs with limits.
func (k keys) limitsInUse() string { return k.prefix + ":jobs:limits" }
func (k keys) counter() string     { return k.prefix + ":jobs:came" }

// wakeChannel begins the channels of workers, idleWorkers the keys of those that
// have nothing to do: see wake.lua.
func (k keys) wakeChannel() string { return k.channel("wake") + ":" }
func (k keys) idleWorkers() string { return k.prefix + ":jobs:idle:" }

// batch is one hash; what is staged for it is beside it in the same slot.
func (k keys) batch(id string) string { return k.prefix + ":jobs:{b" + id + "}" }
func (k keys) batches() string        { return k.prefix + ":jobs:batches" }

func (k keys) crontab() string { return k.prefix + ":jobs:cron" }

func (k keys) steps(chain string) string { return k.prefix + ":jobs:c:" + chain }

// job returns the keys of a job's scripts: its record and its shard's set.
func (k keys) job(id string) []string {
	t := k.tag(shard(id))
	return []string{t + "r:" + id, t + "open"}
}

// others are the sessions that wait for a job beside the first; the scripts make
// the key likewise.
func (k keys) others(id string) string { return k.tag(shard(id)) + "w:" + id }

// durable are the steps that a job has done.
func (k keys) durable(id string) string { return k.tag(shard(id)) + "d:" + id }

// records begins the keys of all records; where is how take.lua finds one.
func (k keys) records() string { return k.prefix + ":jobs:" }

func where(id string, gen int) string {
	return strconv.Itoa(gen) + ":" + strconv.Itoa(shard(id)) + ":" + id
}

func ms(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
func msOf(d time.Duration) string {
	return strconv.FormatInt(d.Milliseconds(), 10)
}
