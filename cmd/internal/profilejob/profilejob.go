// Package profilejob is the background work of the Reports application: it
// profiles an uploaded CSV, or the shipped sample, and reports how far it is.
// The web process enqueues it and any worker runs it; the file comes from the
// store that both reach, so they share nothing but Redis. It has no page and
// profiles nothing itself: package profile does. Only cmd/web and cmd/worker use
// it.
package profilejob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"lastmile/cmd/internal/filestore"
	"lastmile/cmd/internal/profile"
	"lastmile/cmd/internal/sample"
	"lastmile/jobs"
	"lastmile/push"
)

// CodeGone is the code of a job whose file is no longer there.
const CodeGone = "file-gone"

// Args say what to profile.
type Args struct {
	// File is the ID of a stored file; empty means the shipped sample.
	File string `json:"file,omitempty"`
	// Name and Size are the file's, for showing.
	Name string `json:"name"`
	Size int64  `json:"size"`
	// Slow stretches the reading to about that many seconds, and Flaky makes
	// that many attempts fail, so that progress and retries can be watched.
	// The page offers them in demo mode only.
	Slow  int `json:"slow,omitempty"`
	Flaky int `json:"flaky,omitempty"`
}

// Validate refuses what nobody can have meant: arguments that name nothing would
// profile the sample without a word.
func (a *Args) Validate() error {
	switch {
	case a.Name == "":
		return errors.New(`no name: {"name":"sample.csv"} profiles the shipped sample, with "file" and "size" a stored file`)
	case a.Size < 0:
		return fmt.Errorf("size is %d", a.Size)
	case a.Slow < 0 || a.Slow > MaxSlow:
		return fmt.Errorf("slow is %d, want 0 to %d", a.Slow, MaxSlow)
	case a.Flaky < 0 || a.Flaky > MaxFlaky:
		return fmt.Errorf("flaky is %d, want 0 to %d", a.Flaky, MaxFlaky)
	}
	return nil
}

// MaxSlow and MaxFlaky bound what demo mode may ask for.
const (
	MaxSlow  = 120
	MaxFlaky = 5
)

// Report is the result: what the file holds.
type Report = profile.Report

// Kind is the job. Its result can be looked up for a week.
//
//nolint:gochecknoglobals // a definition, never changed
var Kind = jobs.Define[Args, Report]("reports.profile",
	jobs.MaxRetry(MaxFlaky), jobs.Timeout(10*time.Minute), jobs.RetryBackoff(2*time.Second, time.Minute), jobs.Retention(7*24*time.Hour))

// Notify binds a job's events to the actions of the Reports page.
func Notify(s push.Session) jobs.Option {
	return jobs.Notify(s, Bindings()...)
}

// Bindings are those of Notify.
func Bindings() []jobs.Binding {
	return []jobs.Binding{
		jobs.OnDone("ReportDone"), jobs.OnFailed("ReportFailed"), jobs.OnProgress("ReportProgress"),
		jobs.On("ReportProgress", jobs.StateQueued, jobs.StateRunning, jobs.StateRetrying, jobs.StateStalled),
	}
}

// Files is where uploads are; *filestore.Store is one.
type Files interface {
	Open(ctx context.Context, id string) (filestore.Info, io.Reader, error)
}

// Handle registers the work with the pool. Its effects are none but the result,
// so running it twice does no harm.
func Handle(pool *jobs.Pool, files Files) error {
	// Room for the fields that are added to a result on its way.
	profiler, err := profile.New(profile.Config{MaxReportBytes: 44 << 10})
	if err != nil {
		return fmt.Errorf("profilejob: %w", err)
	}
	Kind.Handle(pool, func(ctx context.Context, j *jobs.Job[Args]) (Report, error) {
		r, size, err := open(ctx, files, j.Args)
		if err != nil {
			return Report{}, verdict(err)
		}
		if j.Attempt <= j.Args.Flaky {
			return Report{}, jobs.UserError("flaky", "this attempt was made to fail, to show a retry")
		}
		report, err := profiler.ReadProgress(ctx, slowed(ctx, r, size, j.Args.Slow), func(done, rows int64) {
			j.Progress(float64(done)/float64(max(size, 1)), fmt.Sprintf("%d rows", rows))
		})
		return report, verdict(err)
	})
	return nil
}

func open(ctx context.Context, files Files, a Args) (io.Reader, int64, error) {
	if a.File == "" {
		return strings.NewReader(sample.CSV), int64(len(sample.CSV)), nil
	}
	info, r, err := files.Open(ctx, a.File)
	return r, info.Size, err
}

// verdict tells failures that repeating cannot mend, in words for the user,
// from those that it may.
func verdict(err error) error {
	if fault, ok := errors.AsType[*profile.Error](err); ok {
		return jobs.Discard(jobs.UserError(string(fault.Code), fault.Error()))
	}
	if errors.Is(err, filestore.ErrNotFound) {
		return jobs.Discard(jobs.UserError(CodeGone, "the uploaded file is no longer there; please send it again"))
	}
	return err
}

// slowed returns r held back so that reading size bytes takes some seconds.
func slowed(ctx context.Context, r io.Reader, size int64, seconds int) io.Reader {
	if seconds <= 0 {
		return r
	}
	const step = 50 * time.Millisecond
	seconds = min(seconds, MaxSlow)
	chunk := max(size*int64(step)/int64(time.Duration(seconds)*time.Second), 1)
	return readFunc(func(b []byte) (int, error) {
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(step):
		}
		return r.Read(b[:min(int64(len(b)), chunk)])
	})
}

// readFunc makes a reader of a function.
type readFunc func([]byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }
