// Package jobs runs typed background work on Asynq and reports it to the
// session that asked for it.
//
// A [Kind] names a type of work with its arguments and its result:
//
//	var Profile = jobs.Define[ProfileArgs, Report]("reports.profile",
//		jobs.MaxRetry(5), jobs.Timeout(10*time.Minute))
//
// Any process enqueues through a [Client], naming the actions of the session
// that get the job's events:
//
//	profile := Profile.With(client)
//	h, err := profile.Enqueue(ctx, ProfileArgs{File: name},
//		jobs.Notify(session, jobs.OnDone("ReportDone"), jobs.OnFailed("ReportFailed")))
//
// and a [Pool] in a worker process handles it:
//
//	Profile.Handle(pool, func(ctx context.Context, j *jobs.Job[ProfileArgs]) (Report, error) {
//		j.Progress(0.5, "reading rows")
//		return report, nil
//	})
//	err := pool.Run(ctx)
//
// # Guarantees
//
// Every job ends exactly once, in one of completed, failed, cancelled or lost,
// whatever kills the worker and however often the handler ran; the event is
// pushed into each session that asked, exactly once, and it agrees with the
// job's state. The end is decided in the job's Redis record first, together
// with its event in an outbox; the push is then stored under an ID made
// of job, generation and state, and the outbox is emptied. Whoever dies in
// between, the next execution or the watchdog of any process stores it again
// under the same ID. (An event that stays undelivered for longer than the push
// transport remembers IDs, 24 hours by default, may be doubled.)
//
// The other events (queued, started, progress, retrying, stalled) are latest
// wins: a page that was away sees the last one only, and none after the end.
//
// A handler runs at least once: its outside effects have to be idempotent, for
// which [Job.ID] is a stable key. [Do] keeps what a step of it came to, so that a
// later run does not do it again, and [Emit] pushes once. [Wait] asks, and lets go of
// the worker until there is an answer; [Stream] writes what grows.
//
// A plain job, one without a session, an ID of the caller's choice, uniqueness,
// limits or steps after it, has no event to lose, so it costs less: until it
// runs for some seconds, reports progress, fails or is cancelled, only Asynq
// knows of it. [Client.Get], [Client.Cancel] and [Client.Retry] work on it as on
// others, and its result is kept for as long. No watchdog looks after it before
// it has a record: a plain job whose task an operator deletes is simply gone.
//
// On a single server the first execution of any other job saves a step likewise:
// its record learns that it runs after a second, unless an action is bound to
// StateRunning or StateStalled, and shows StateQueued until then.
//
// Arguments are JSON unless the kind has another codec ([Codecs]), whose name is
// stored with each job: workers of two versions read each other's jobs. What a
// worker cannot run, a kind or arguments of another version, uses no attempt and
// waits for a worker that can, for an hour at most (PoolConfig.VersionSkew).
// Results are always JSON, for they become the data of pushes.
//
// After a crash of a worker its jobs run again within 8 seconds, and the session is
// told that they stalled within 4. A worker that was silent for longer than
// PoolConfig.Lease counts as dead; if it lives, it has no say any more.
package jobs
