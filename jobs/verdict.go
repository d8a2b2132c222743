package jobs

import "fmt"

// What the scripts answer, as types. An answer that nobody knows is an error.

// verdict reads a script's verdict.
func verdict[V any](script, answer string, known map[string]V) (V, error) {
	v, ok := known[answer]
	if !ok {
		return v, fmt.Errorf("%s answered %q", script, answer)
	}
	return v, nil
}

// creation is what came of making a record.
type creation int

const (
	createNew   creation = iota // the record is new
	createOpen                  // there is one, of a job that goes on
	createKept                  // there is one, of a job that has ended and is still the answer
	createStale                 // there is one, of a job that has ended and may be opened again
)

// created is the record that there is now.
type created struct {
	creation
	gen      int
	run      int64
	state    State
	enqueued bool // put.lua has put the task into its queue
}

// parseCreated reads what create.lua and put.lua answer.
func parseCreated(r reply) (c created, err error) {
	c.creation, err = verdict("create.lua", r.str(0), map[string]creation{
		"new": createNew, "open": createOpen, "kept": createKept, "stale": createStale,
	})
	c.gen, c.run, c.state, c.enqueued = int(r.num(1)), r.num(2), State(r.str(3)), r.num(4) == 1
	return c, err
}

// beginning is the record's answer to a run that begins.
type beginning int

const (
	beginRun         beginning = iota // the handler may run
	beginCancel                       // a cancellation is asked for
	beginSpent                        // the attempts are used up
	beginOver                         // the job has ended
	beginUndelivered                  // likewise, and its event is undelivered
	beginOld                          // the job was opened again: the task is of a former generation
	beginGone                         // there is no record
	beginStale                        // another worker has the task
)

// begun is a run that the record knows of.
type begun struct {
	beginning
	state          State // of a job that has ended
	run            int64
	attempt, limit int
	dests          int    // how many sessions want the events
	first          string // the first of them, as stored
	came           int64  // its place in the order of those who wait for a limit
}

// parseBegun reads what begin.lua answers.
func parseBegun(r reply) (b begun, err error) {
	b.beginning, err = verdict("begin.lua", r.str(0), map[string]beginning{
		"run": beginRun, "cancel": beginCancel, "spent": beginSpent, "over": beginOver, "undelivered": beginUndelivered, "old": beginOld, "gone": beginGone, "stale": beginStale,
	})
	if err != nil {
		return b, err
	}
	switch b.beginning {
	case beginOver, beginUndelivered:
		b.state = State(r.str(1))
	case beginRun, beginCancel, beginSpent:
		b.run, b.attempt, b.limit, b.dests, b.first = r.num(1), int(r.num(2)), int(r.num(3)), int(r.num(4)), r.str(5)
		b.came = r.num(6)
	default:
	}
	return b, nil
}

// joining is what came of tying a run to its job's record.
type joining int

const (
	joined    joining = iota // the record knows of the run
	joinOver                 // the job has ended
	joinStale                // another run has the job
)

func parseJoining(r reply) (joining, error) {
	return verdict("join.lua", r.str(0), map[string]joining{"run": joined, "over": joinOver, "stale": joinStale})
}

// beat is what a heartbeat learns.
type beat struct {
	superseded bool // another run has the job, or it has ended
	cancelled  bool // a cancellation is asked for
	dests      int  // how many sessions want the events
	stalled    bool // the run counted as stalled until now
}

func parseBeat(r reply) beat {
	return beat{r.num(0) == -1, r.num(0) == 1, int(r.num(1)), r.num(2) == 1}
}

// waiting is what came of sending a run back to wait.
type waiting int

const (
	waits      waiting = 1
	waitCancel waiting = 2  // a cancellation is asked for
	waitOver   waiting = 3  // what it would wait for is there
	waitStale  waiting = -1 // the run is not the job's any more
)

// cancelling is what asking for a cancellation found.
type cancelling int

const (
	cancelIdle        cancelling = iota // nobody has the job: the caller ends it
	cancelSignal                        // a worker has it, which is to be told
	cancelOver                          // the job has ended
	cancelUndelivered                   // likewise, and its event is undelivered
	cancelGone                          // there is no record
)

// cancelled is a job whose cancellation was asked for.
type cancelled struct {
	cancelling
	gen   int
	run   int64
	state State
}

func parseCancelled(r reply) (c cancelled, err error) {
	c.cancelling, err = verdict("cancel.lua", r.str(0), map[string]cancelling{
		"idle": cancelIdle, "signal": cancelSignal, "over": cancelOver, "undelivered": cancelUndelivered, "gone": cancelGone,
	})
	c.gen, c.run, c.state = int(r.num(1)), r.num(2), State(r.str(3))
	return c, err
}

// member is what came of noting the end of a batch's member.
type member struct {
	due     bool   // finally is to run
	seen    int    // the generation of finally that there was; 0: none yet, -1: none any more
	finally string // the step
}

func parseMember(r reply) member { return member{r.num(0) == 1, int(r.num(1)), r.str(2)} }

// decision is what came of deciding on an end.
type decision int

const (
	// endStored: it is the job's end now.
	endStored decision = iota
	// endWasDecided: the job had ended before; state says how.
	endWasDecided
	// endStale: the run or the generation is not the job's any more.
	endStale
)

// finished is a job whose end was to be decided.
type finished struct {
	decision
	state  State  // that it ended in
	follow string // what that sets off
	dests  int    // how many sessions want the event
	first  string // the first of them, as stored
}

// parseFinished reads what finish.lua answers.
func parseFinished(r reply) (f finished, err error) {
	f.decision, err = verdict("finish.lua", r.str(0), map[string]decision{"done": endStored, "over": endWasDecided, "stale": endStale})
	f.state, f.follow, f.dests, f.first = State(r.str(1)), r.str(2), int(r.num(3)), r.str(4)
	return f, err
}
