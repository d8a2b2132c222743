package reports

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"path"
	"strconv"
	"strings"
	"unicode"

	"lastmile/cmd/internal/filestore"
	"lastmile/cmd/internal/profile"
	"lastmile/cmd/internal/profilejob"
	"lastmile/cmd/web/ui"
	"lastmile/jobs"
	"lastmile/push"
)

// Files is where uploads go; *filestore.Store is one.
type Files interface {
	Save(ctx context.Context, name string, r io.Reader) (filestore.Info, error)
	Delete(ctx context.Context, id string) error
	MaxBytes() int64
}

// Upload receives a file as a plain multipart form, stores it as it comes in
// and enqueues its job. It answers 303 back to the page, or with a page that
// says what is wrong: 400 for a form that is none, 413 for a file over the
// limit, 415 for what is no CSV, 422 for an empty one, 503 when there is no
// room. Nothing is enqueued then and nothing stays stored.
type Upload struct {
	Profile *jobs.Kind[profilejob.Args, profilejob.Report]
	Files   Files
	// Session returns the session of a request, setting its cookie if need be.
	Session func(w http.ResponseWriter, r *http.Request) (push.Session, error)
	UI      *ui.UI
	// Demo honours the form's fields "slow" and "flaky".
	Demo bool
	Log  *slog.Logger
}

// formOverhead is what a form may add to its file: boundaries and fields.
const formOverhead = 64 << 10

// refusal is an upload that is turned down, in words for the user.
type refusal struct {
	status        int
	heading, text string
}

func (r *refusal) Error() string { return r.heading + ": " + r.text }

// ServeHTTP serves the form's POST.
func (u *Upload) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	session, err := u.Session(w, r)
	if err != nil {
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, u.Files.MaxBytes()+formOverhead)
	err = u.receive(r, session)
	if err == nil {
		http.Redirect(w, r, "/reports", http.StatusSeeOther)
		return
	}
	no, ok := errors.AsType[*refusal](err)
	if !ok {
		u.Log.ErrorContext(r.Context(), "upload failed", "session", push.Redact(session.ID()), "error", err)
		no = &refusal{http.StatusServiceUnavailable, "The file could not be taken", "Something is wrong on our side. Nothing was stored; please try again in a moment."}
	}
	u.UI.Write(w, r, ui.Message{
		Status: no.status, View: "reports", Heading: no.heading, Text: no.text, Link: "/reports", LinkText: "Back to the reports",
	})
}

// receive goes through the form once, as a stream, and enqueues the job at its
// end. What it has stored by then it removes when something goes wrong.
func (u *Upload) receive(r *http.Request, session push.Session) error {
	form, err := r.MultipartReader()
	if err != nil {
		return errBadForm
	}
	var args profilejob.Args
	err = u.parts(r.Context(), form, &args)
	if err == nil && args.File == "" {
		return &refusal{http.StatusBadRequest, "No file was sent", "Choose a CSV file first, then send the form."}
	}
	if err == nil {
		_, err = u.Profile.Enqueue(r.Context(), args, profilejob.Notify(session))
	}
	if err != nil && args.File != "" {
		if err := u.Files.Delete(context.WithoutCancel(r.Context()), args.File); err != nil {
			u.Log.WarnContext(r.Context(), "uploaded file stays until it expires", "error", err)
		}
	}
	return err
}

// parts reads the form's parts into args.
func (u *Upload) parts(ctx context.Context, form *multipart.Reader, args *profilejob.Args) error {
	for {
		part, err := form.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
		case part.FormName() != "file":
			err = u.field(part, args)
		case part.FileName() == "": // the form was sent without choosing one
		case args.File != "":
			err = errBadForm
		default:
			err = u.take(ctx, part, args)
		}
		if err != nil {
			return u.broken(err)
		}
	}
}

var errBadForm = &refusal{http.StatusBadRequest, "That was not a complete form", "The upload was cut off, or was not sent by the form on the page. Please try again."}

func (u *Upload) field(part *multipart.Part, args *profilejob.Args) error {
	b, err := io.ReadAll(io.LimitReader(part, 16))
	if err != nil || !u.Demo {
		return err
	}
	n, _ := strconv.Atoi(string(b)) // a field that is no number asks for nothing
	switch part.FormName() {
	case "slow":
		args.Slow, _ = demo(n, 0)
	case "flaky":
		_, args.Flaky = demo(0, n)
	}
	return nil
}

// take checks the start of the file and stores it.
func (u *Upload) take(ctx context.Context, part *multipart.Part, args *profilejob.Args) error {
	body := bufio.NewReaderSize(part, profile.SniffBytes)
	head, err := body.Peek(profile.SniffBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if fault, ok := errors.AsType[*profile.Error](profile.Sniff(head)); ok {
		if fault.Code == profile.CodeEmpty {
			return &refusal{http.StatusUnprocessableEntity, "The file is empty", "There is nothing in it to profile."}
		}
		return &refusal{http.StatusUnsupportedMediaType, "This is not a CSV file", sentence(fault.Error())}
	}
	args.Name = cleanName(part.FileName())
	info, err := u.Files.Save(ctx, args.Name, body)
	args.File, args.Size = info.ID, info.Size
	return err
}

// broken says what the sender did wrong; what went wrong here it leaves as it is.
func (u *Upload) broken(err error) error {
	_, cut := errors.AsType[*http.MaxBytesError](err)
	switch {
	case cut, errors.Is(err, filestore.ErrTooLarge):
		return u.tooLarge()
	case errors.Is(err, filestore.ErrFull):
		return &refusal{http.StatusServiceUnavailable, "There is no room at the moment", "Too many files are waiting to be profiled. Please try again in a few minutes."}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, multipart.ErrMessageTooLarge), strings.HasPrefix(err.Error(), "multipart:"):
		return errBadForm
	}
	return err
}

func (u *Upload) tooLarge() error {
	return &refusal{
		http.StatusRequestEntityTooLarge, "The file is too large",
		fmt.Sprintf("Files of up to %s are taken. Nothing of this one was kept.", ui.Bytes(u.Files.MaxBytes())),
	}
}

// cleanName returns the last part of a file's name without control characters.
func cleanName(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, name)
	if runes := []rune(name); len(runes) > 100 {
		name = string(runes[:99]) + "…"
	}
	if name == "" || name == "." || name == "/" {
		return "file.csv"
	}
	return name
}

// sentence makes a sentence of an error text.
func sentence(s string) string {
	first := []rune(s)
	first[0] = unicode.ToUpper(first[0])
	return strings.TrimSuffix(string(first), ".") + "."
}
