package tasks

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// The SHAs of those scripts of Asynq that scripts of ours stand in for. Before
// one is added here, read Asynq's script beside ours: enqueue beside put.lua and
// enqueue.lua, dequeue beside take.lua, done beside complete.lua, forward beside
// sweep.lua.
const (
	enqueueSHA = "98d28b42650870a743450ffda9791e9e19c6991b"
	dequeueSHA = "a8153319360adc71cdc370107f8ab9786f204765"
	doneSHA    = "1241eaa1c73409baaf1fea0c08d203a4911bda15"
	forwardSHA = "522b1a6ae66fe79ea2f24a9af58798ab71879035"
	archiveSHA = "9c3b1eb9947ce2ee5304ac013a0a365ec364fd2d" // for the name of a key only
)

// Known says which parts of the Asynq in this program are those that this
// package was written for. What is not known is left to Asynq: the job then
// takes the way it takes on a Cluster, with more calls and the same guarantees.
type Known struct {
	// Enqueue: put.lua may stand in for the script that enqueues a task.
	Enqueue bool
	// Dequeue: take.lua may stand in for the script that takes a task.
	Dequeue bool
	// Done: complete.lua may stand in for the script that removes a task.
	Done bool
	// Forward: sweep.lua may stand in for the script that makes pending what is
	// due.
	Forward bool
	// Names are the keys that Asynq uses.
	Names Names

	reasons []string
}

// Unknown names what was not recognised, and why. It is empty when all was.
func (k *Known) Unknown() []string { return k.reasons }

// Enqueues tells whether put.lua may answer a script call of Asynq's.
func (k *Known) Enqueues(sha string, keys []string, args []any) bool {
	return k.Enqueue && sha == enqueueSHA && len(keys) == 2 && len(args) == 3
}

// dequeues tells whether take.lua may answer a script call of Asynq's.
func (k *Known) dequeues(sha string, keys []string, args []any) bool {
	return k.Dequeue && sha == dequeueSHA && len(keys) == 4 && len(args) == 2
}

// removes tells whether complete.lua may answer a script call of Asynq's.
func (k *Known) removes(sha string, keys []string, args []any) bool {
	return k.Done && sha == doneSHA && len(keys) == 5 && len(args) == 3
}

// forwards tells whether the sweep has done what a script call of Asynq's is for.
func (k *Known) forwards(sha string, keys []string, args []any) bool {
	return k.Forward && sha == forwardSHA && len(keys) == 2 && len(args) == 4
}

// mentioned returns the arguments of a script call of Asynq's that may be the ID
// of a task, if the call is about the tasks of a queue.
func (k *Known) mentioned(keys []string, args []any) []string {
	if len(keys) == 0 || !k.Names.ofQueue(keys[0]) {
		return nil
	}
	ids := make([]string, 0, 1)
	for _, a := range args {
		if id, ok := a.(string); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// leaver returns the task that a script call of Asynq's takes out of the active
// ones, and its key, or nothing.
func (k *Known) leaver(keys []string, args []any) (id, key string) {
	ids := k.mentioned(keys, args)
	if len(ids) == 0 {
		return "", ""
	}
	queue := k.Names.QueueOf(keys[0])
	if !slices.Contains(keys, k.Names.active.of(queue)) {
		return "", ""
	}
	for _, id := range ids {
		if key := k.Names.task.of(queue) + id; id != "" && slices.Contains(keys, key) {
			return id, key
		}
	}
	return "", ""
}

const (
	probeQueue = "lm-probe-queue"
	probeTask  = "lm-probe-task"
)

type probeKey struct{}

// Probe lets Asynq's own client and broker work against a client that answers
// without a network, and compares what they ask of it with what this package
// was written for. It starts nothing.
func Probe() Known { return probe(asynq.NewClientFromRedisClient) }

func probe(newClient func(redis.UniversalClient) *asynq.Client) Known {
	r := newRecorder()
	defer func() { _ = r.offline.Close() }() // it has no connections
	var k Known
	client := newClient(r)
	message, err := k.probeEnqueue(r, client)
	if err == nil {
		err = k.probeBroker(r, client, message)
	}
	if err != nil {
		k.doubt("broker", err)
	}
	if k.Names.missing() {
		k.doubt("keys", fmt.Errorf("not all key names were found: %+v", k.Names))
	}
	return k
}

func (k *Known) doubt(part string, err error) {
	k.reasons = append(k.reasons, part+": "+err.Error())
}

// judge notes whether Asynq's call is the one expected. It returns nil for one
// that is.
func (k *Known) judge(part string, got []call, want call) bool {
	err := compare(got, want)
	if err != nil {
		k.doubt(part, err)
	}
	return err == nil
}

// probeEnqueue returns the message of a task as Asynq stores it.
func (k *Known) probeEnqueue(r *recorder, client *asynq.Client) (message []byte, err error) {
	defer caught(&err)
	ctx := context.WithValue(context.Background(), probeKey{}, true) // there is nothing to wait for
	calls := r.during(func() {
		_, err = client.EnqueueContext(ctx, asynq.NewTask(probeTask, []byte(probeTask)),
			asynq.TaskID(probeTask), asynq.Queue(probeQueue), asynq.MaxRetry(1), asynq.Timeout(time.Minute), asynq.Retention(0))
	})
	if err != nil {
		return nil, fmt.Errorf("enqueue: %w", err)
	}
	k.Names.queues = r.setWith(probeQueue)
	k.Names.prefix = prefixOf(calls)
	k.Enqueue = k.judge("enqueue", calls, call{
		name: "evalsha", sha: enqueueSHA, marked: true,
		keys: []string{"asynq:{" + probeQueue + "}:t:" + probeTask, "asynq:{" + probeQueue + "}:pending"},
		args: []any{[]byte(nil), probeTask, anyNumber},
	})
	for _, c := range calls {
		for _, a := range c.args {
			if b, ok := a.([]byte); ok && bytes.Contains(b, []byte(probeTask)) {
				return b, nil
			}
		}
	}
	return nil, errUnseen("the message of a task")
}

// probeBroker lets the broker take the task and put it away again.
func (k *Known) probeBroker(r *recorder, client *asynq.Client, message []byte) (err error) {
	defer caught(&err)
	b, err := brokerOf(client)
	if err != nil {
		return err
	}
	key := func(name string) string { return "asynq:{" + probeQueue + "}:" + name }
	ctx := reflect.ValueOf(context.Background()) // there is nothing to wait for

	r.answer = string(message)
	var out []reflect.Value
	calls := r.during(func() { out = b.call("Dequeue", reflect.ValueOf(probeQueue)) })
	r.answer = "OK"
	if len(out) == 0 || out[0].Kind() != reflect.Pointer || out[0].IsNil() {
		return errUnseen("a task taken")
	}
	task := out[0]
	k.Names.task = pattern(argWith(calls, 1, key("t:")))
	k.Names.active = pattern(keyWith(calls, 2, "active"))
	k.Dequeue = k.judge("dequeue", calls, call{
		name: "evalsha", sha: dequeueSHA, args: []any{anyNumber, key("t:")},
		keys: []string{key("pending"), key("paused"), key("active"), key("lease")},
	})

	calls = r.during(func() { b.call("Done", ctx, task) })
	day := time.Now().UTC().Format(time.DateOnly)
	if len(calls) == 1 && len(calls[0].keys) > 3 && strings.HasPrefix(calls[0].keys[3], key("processed:")) {
		calls[0].keys[3] = key("processed:" + day) // whatever the day is by now
	}
	k.Done = k.judge("done", calls, call{
		name: "evalsha", sha: doneSHA, args: []any{probeTask, anyNumber, anyNumber},
		keys: []string{key("active"), key("lease"), key("t:" + probeTask), key("processed:" + day), key("processed")},
	})

	calls = r.during(func() { b.call("Archive", ctx, task, reflect.ValueOf("error")) })
	k.Names.archived = pattern(keyWith(calls, 3, "archived"))

	r.during(func() { b.call("ExtendLease", reflect.ValueOf(probeQueue), reflect.ValueOf(probeTask)) })
	k.Names.lease = pattern(r.setWith(probeTask))

	r.answer = int64(0) // nothing is due
	k.probeForward(r.during(func() { b.call("ForwardIfReady", reflect.ValueOf(probeQueue)) }), key)
	return nil
}

// probeForward learns where Asynq keeps tasks that are not due: in two sets, with
// one script call for each.
func (k *Known) probeForward(calls []call, key func(string) string) {
	if len(calls) != len(k.Names.delayed) {
		k.doubt("forward", fmt.Errorf("%d script calls, %d are expected", len(calls), len(k.Names.delayed)))
		return
	}
	k.Forward = true
	for i, c := range calls {
		if len(c.keys) == 2 {
			k.Names.delayed[i] = pattern(c.keys[0])
		}
		known := k.judge("forward", calls[i:i+1], call{
			name: "evalsha", sha: forwardSHA, keys: []string{string(k.Names.delayed[i]), key("pending")},
			args: []any{anyNumber, key("t:"), anyNumber, key("g:")},
		})
		k.Forward = k.Forward && known && k.Names.delayed[i] != ""
	}
}

// compare returns what is different about the one call that is expected.
func compare(got []call, want call) error {
	if len(got) != 1 {
		return fmt.Errorf("%d script calls, 1 is expected", len(got))
	}
	c := got[0]
	switch {
	case c.name != want.name || c.sha != want.sha:
		return fmt.Errorf("another script: %s %s", c.name, c.sha)
	case !slices.Equal(c.keys, want.keys):
		return fmt.Errorf("other keys: %q", c.keys)
	case !slices.EqualFunc(c.args, want.args, like):
		return fmt.Errorf("%d other arguments: %T", len(c.args), c.args)
	case want.marked && !c.marked:
		return errUnseen("the caller's context")
	}
	return nil
}

// anyNumber is like every number, and nil bytes are like all.
const anyNumber = wildcard("number")

type wildcard string

func like(got, want any) bool {
	switch want.(type) {
	case wildcard:
		return reflect.ValueOf(got).CanInt()
	case []byte:
		_, ok := got.([]byte)
		return ok
	default:
		return got == want
	}
}

type unseenError string

func errUnseen(what string) error { return unseenError(what) }

func (e unseenError) Error() string { return string(e) + " was not seen" }

// caught makes an error of a panic: reflection into somebody else's package
// must not end a program.
func caught(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("probe: %v", v)
	}
}

// broker is Asynq's own way to Redis, which it does not export.
type broker struct{ v reflect.Value }

func brokerOf(client *asynq.Client) (broker, error) {
	f := reflect.ValueOf(client).Elem().FieldByName("broker")
	if !f.IsValid() {
		return broker{}, errUnseen("the broker of a client")
	}
	return broker{reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem().Elem()}, nil
}

// call calls a method, and returns nothing if there is none.
func (b broker) call(method string, args ...reflect.Value) []reflect.Value {
	m := b.v.MethodByName(method)
	if !m.IsValid() {
		return nil
	}
	return m.Call(args)
}

// call is one script call of Asynq's.
type call struct {
	name, sha string
	keys      []string
	args      []any
	marked    bool // with the caller's context
}

// recorder is a client that notes what is asked and answers at once.
type recorder struct {
	redis.UniversalClient // offline, with the recorder as its hook
	offline               *redis.Client
	answer                any
	calls                 []call
	sets                  map[string]string // member -> key of the set it was last added to
}

func newRecorder() *recorder {
	offline := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:0", Dialer: refuse, MaxRetries: -1, Protocol: 2,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}, // else it looks up a name
	})
	r := &recorder{UniversalClient: offline, offline: offline, answer: int64(1), sets: map[string]string{}}
	offline.AddHook(r)
	return r
}

// during returns the script calls that f makes.
func (r *recorder) during(f func()) []call {
	r.calls = nil
	f()
	return r.calls
}

// setWith returns the key of the set that a member was last added to.
func (r *recorder) setWith(member string) string { return r.sets[member] }

// EvalSha notes a script call, as the clients of this package meet it.
func (r *recorder) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	marked, _ := ctx.Value(probeKey{}).(bool)
	r.calls = append(r.calls, call{"evalsha", sha, slices.Clone(keys), slices.Clone(args), marked})
	cmd := redis.NewCmd(ctx)
	cmd.SetVal(r.answer)
	return cmd
}

// DialHook implements redis.Hook.
func (r *recorder) DialHook(redis.DialHook) redis.DialHook { return refuse }

// ProcessHook implements redis.Hook: any other command succeeds.
func (r *recorder) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		r.note(cmd)
		return nil
	}
}

// ProcessPipelineHook implements redis.Hook.
func (r *recorder) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			r.note(cmd)
		}
		return nil
	}
}

// note notes commands that are not scripts called by their SHA; a script
// called in another way is none that this package knows.
func (r *recorder) note(cmd redis.Cmder) {
	args := cmd.Args()
	switch name := cmd.Name(); {
	case strings.HasPrefix(name, "eval"), name == "fcall":
		r.calls = append(r.calls, call{name: name})
		if c, ok := cmd.(*redis.Cmd); ok {
			c.SetVal(r.answer)
		}
	case name == "sadd", name == "zadd":
		key, _ := args[1].(string)
		if member, ok := args[len(args)-1].(string); ok {
			r.sets[member] = key
		}
	}
}
