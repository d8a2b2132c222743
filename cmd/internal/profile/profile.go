// Package profile reads a CSV once, as a stream, and tells what is in it: rows,
// columns, types, nulls, distinct values, spread, quantiles, histograms and
// frequent values. Its memory depends on the number of columns, never on the
// length of the file. It knows nothing of jobs, pages or Redis; only profilejob
// and the Reports pages use it.
//
//	p, err := profile.New(profile.Config{})
//	if err != nil {
//		return err
//	}
//	report, err := p.Read(ctx, file)
//
// What cannot be exact in bounded memory is estimated, with the error stated
// at the field and a flag beside it. A fault of the file is an *[Error] with
// the line and column.
package profile

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
)

// Config tunes a Profiler. The zero value is ready for production.
type Config struct {
	// MaxColumns bounds the header. Defaults to 100.
	MaxColumns int
	// MaxRecordBytes bounds one row, so that a quote which is never closed
	// does not read the file into memory. At least 64 KiB. Defaults to 1 MiB.
	MaxRecordBytes int
	// MaxReportBytes bounds the report's JSON: the more columns, the less
	// detail. At least 16 KiB. Defaults to 48 KiB.
	MaxReportBytes int
}

// Profiler profiles files. It is safe for concurrent use.
type Profiler struct{ cfg Config }

// New checks cfg and fills its defaults.
func New(cfg Config) (*Profiler, error) {
	cfg.MaxColumns = cmp.Or(cfg.MaxColumns, 100)
	cfg.MaxRecordBytes = cmp.Or(cfg.MaxRecordBytes, 1<<20)
	cfg.MaxReportBytes = cmp.Or(cfg.MaxReportBytes, 48<<10)
	switch {
	case cfg.MaxColumns < 1:
		return nil, errors.New("profile: Config: MaxColumns must not be negative")
	case cfg.MaxRecordBytes < SniffBytes:
		return nil, fmt.Errorf("profile: Config: MaxRecordBytes must be at least %d", SniffBytes)
	case cfg.MaxReportBytes < 16<<10:
		return nil, fmt.Errorf("profile: Config: MaxReportBytes must be at least %d", 16<<10)
	}
	return &Profiler{cfg: cfg}, nil
}

// progressRows is how many rows go by between two looks at the clock's owner:
// the context, and the caller's progress function.
const progressRows = 256

// Read profiles r up to its end. It stops with ctx's cause when ctx ends. An
// *[Error] is a fault of the content; any other error is r's own.
func (p *Profiler) Read(ctx context.Context, r io.Reader) (Report, error) {
	return p.ReadProgress(ctx, r, nil)
}

// ReadProgress is Read that calls progress, every few hundred rows and from
// the same goroutine, with the number of bytes and rows that are done.
func (p *Profiler) ReadProgress(ctx context.Context, r io.Reader, progress func(bytes, rows int64)) (Report, error) {
	in := &counter{r: r}
	br := bufio.NewReaderSize(in, SniffBytes)
	head, err := br.Peek(SniffBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return Report{}, fmt.Errorf("profile: read: %w", err)
	}
	if err := Sniff(head); err != nil {
		return Report{}, err
	}
	if bytes.HasPrefix(head, []byte(utf8BOM)) {
		_, _ = br.Discard(len(utf8BOM)) // it is buffered: this cannot fail
		head = head[len(utf8BOM):]
	}
	run := &run{scanner: newScanner(br, delimiter(head), p.cfg.MaxRecordBytes)}
	if err := run.header(p.cfg.MaxColumns); err != nil {
		return Report{}, err
	}
	for {
		if run.rows%progressRows == 0 {
			if ctx.Err() != nil {
				return Report{}, context.Cause(ctx)
			}
			if progress != nil && run.rows > 0 {
				progress(in.n-int64(br.Buffered()), run.rows)
			}
		}
		switch err := run.row(); {
		case errors.Is(err, io.EOF):
			return run.finish(in.n, p.cfg.MaxReportBytes)
		case err != nil:
			return Report{}, readError(err)
		}
	}
}

// run is one file on its way through.
type run struct {
	scanner *scanner
	columns []*column
	rows    int64
}

func (r *run) header(limit int) error {
	switch err := r.scanner.next(); {
	case errors.Is(err, io.EOF):
		return fault(CodeEmpty, 0, 0, "the file is empty")
	case err != nil:
		return readError(err)
	}
	n := r.scanner.fields()
	if n > limit {
		return fault(CodeColumns, r.scanner.first, 1, "the header has %d columns; at most %d are profiled", n, limit)
	}
	seen := make(map[string]int, n)
	for i := range n {
		name := string(bytes.TrimSpace(r.scanner.field(i)))
		if name == "" {
			name = fmt.Sprintf("column %d", i+1)
		}
		if seen[name]++; seen[name] > 1 {
			name = fmt.Sprintf("%s (%d)", name, seen[name])
		}
		r.columns = append(r.columns, newColumn(name, n, r.scanner.comma != ','))
	}
	r.scanner.want = n
	return nil
}

func (r *run) row() error {
	if err := r.scanner.next(); err != nil {
		return err
	}
	for i, c := range r.columns {
		c.add(r.scanner.field(i))
	}
	r.rows++
	return nil
}

func (r *run) finish(size int64, maxBytes int) (Report, error) {
	if r.rows == 0 {
		return Report{}, fault(CodeHeaderOnly, r.scanner.line, 1, "there is a header but no row of data after it")
	}
	report := Report{Rows: r.rows, Bytes: size, Delimiter: string(r.scanner.comma)}
	if err := report.fit(r.columns, maxBytes); err != nil {
		return Report{}, err
	}
	return report, nil
}

// readError passes a fault of the file on and marks the reader's own errors.
func readError(err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return fmt.Errorf("profile: read: %w", err)
}

// counter counts what is read through it.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
