package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/hibiken/asynq"

	"lastmile/jobs"
	"lastmile/jobs/internal/tasks"
)

// The console's calls that change open or failed jobs, relative to /api/.
// ACTION is cancel, run or delete; its target is one task, a list of tasks in
// the body, or all.
const (
	onePattern  = `^queues/([^/:]+)/(active|pending|scheduled|retry|archived|completed)_tasks/(.+?)(?::(cancel|run|archive))?$`
	manyPattern = `^queues/([^/:]+)/(active|pending|scheduled|retry|archived)_tasks:(batch_cancel|batch_run|batch_delete|cancel_all|run_all|delete_all)$`
)

const (
	maxBody  = 1 << 20
	pageSize = 100
	maxAll   = 10_000
)

// operate takes the calls over that must not bypass package jobs, and reports
// whether it did. The rest is the console's own.
func (h *Handler) operate(w http.ResponseWriter, r *http.Request, path string) bool {
	if r.Method != http.MethodPost && r.Method != http.MethodDelete {
		return false
	}
	if m := regexp.MustCompile(onePattern).FindStringSubmatch(path); m != nil {
		action := m[4]
		if r.Method == http.MethodDelete {
			action = "delete"
		}
		do := h.action(m[2], action)
		if do == nil {
			do = h.slashed(m[2], action, m[3])
		}
		if do == nil {
			return false
		}
		if err := do(r.Context(), m[1], m[3]); err != nil {
			fail(w, err)
			return true
		}
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	m := regexp.MustCompile(manyPattern).FindStringSubmatch(path)
	if m == nil {
		return false
	}
	verb, all := strings.TrimPrefix(strings.TrimSuffix(m[3], "_all"), "batch_"), strings.HasSuffix(m[3], "_all")
	do := h.action(m[2], verb)
	if do == nil {
		return false
	}
	if all {
		h.operateAll(w, r, m[1], m[2], do)
	} else {
		operateBatch(w, r, m[1], verb, do)
	}
	return true
}

type operation func(ctx context.Context, queue, task string) error

// action returns what to do in place of the console, or nil.
func (h *Handler) action(state, verb string) operation {
	switch {
	case state == "active" && verb == "cancel",
		verb == "delete" && (state == "pending" || state == "scheduled" || state == "retry"):
		return h.cancel
	case state == "archived" && verb == "run":
		return h.retry
	default:
		return nil
	}
}

// slashed returns what the console does itself, for tasks whose IDs have a slash:
// its routes do not know them.
func (h *Handler) slashed(state, verb, task string) operation {
	waits := state == "pending" || state == "scheduled" || state == "retry"
	var do func(queue, task string) error
	switch {
	case !strings.Contains(task, "/"):
		return nil
	case verb == "run" && waits:
		do = h.inspect.RunTask
	case verb == "archive" && waits:
		do = h.inspect.ArchiveTask
	case verb == "delete" && (state == "archived" || state == "completed"):
		do = h.inspect.DeleteTask
	default:
		return nil
	}
	return func(_ context.Context, queue, task string) error { return do(queue, task) }
}

// cancel ends the job. A task without a record is not a job of ours, or left
// over from one: then Asynq's own way has to do.
func (h *Handler) cancel(ctx context.Context, queue, task string) error {
	if _, ours := h.client.QueueOf(queue); ours { // another application's job may have the same ID
		err := h.client.Cancel(ctx, tasks.JobOf(task))
		if !errors.Is(err, jobs.ErrNotFound) && !errors.Is(err, jobs.ErrEnded) {
			return err
		}
	}
	if err := h.inspect.DeleteTask(queue, task); err != nil {
		return h.inspect.CancelProcessing(task)
	}
	return nil
}

func (h *Handler) retry(ctx context.Context, queue, task string) error {
	if _, ours := h.client.QueueOf(queue); ours {
		err := h.client.Retry(ctx, tasks.JobOf(task))
		if !errors.Is(err, jobs.ErrNotFound) {
			return err
		}
	}
	return h.inspect.RunTask(queue, task)
}

// operateBatch answers as the console's page expects it.
func operateBatch(w http.ResponseWriter, r *http.Request, queue, verb string, do operation) {
	var body struct {
		IDs []string `json:"task_ids"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&body); err != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	done, failed := []string{}, []string{}
	for _, id := range body.IDs {
		if err := do(r.Context(), queue, id); err != nil {
			failed = append(failed, id)
			continue
		}
		done = append(done, id)
	}
	names := map[string][2]string{
		"cancel": {"canceled_ids", "error_ids"}, "run": {"pending_ids", "error_ids"}, "delete": {"deleted_ids", "failed_ids"},
	}[verb]
	reply(w, map[string]any{names[0]: done, names[1]: failed})
}

func (h *Handler) operateAll(w http.ResponseWriter, r *http.Request, queue, state string, do operation) {
	n := 0
	for page := 1; n < maxAll; page++ {
		tasks, err := h.list(queue, state, page)
		if err != nil {
			fail(w, err)
			return
		}
		before := n
		for _, t := range tasks {
			if err := do(r.Context(), queue, t.ID); err == nil {
				n++
			}
		}
		if len(tasks) < pageSize {
			break
		}
		if n > before && state != "active" {
			page-- // what was dealt with has left the list
		}
	}
	reply(w, map[string]any{"deleted": n})
}

func (h *Handler) list(queue, state string, page int) ([]*asynq.TaskInfo, error) {
	opts := []asynq.ListOption{asynq.PageSize(pageSize), asynq.Page(page)}
	switch state {
	case "active":
		return h.inspect.ListActiveTasks(queue, opts...)
	case "pending":
		return h.inspect.ListPendingTasks(queue, opts...)
	case "scheduled":
		return h.inspect.ListScheduledTasks(queue, opts...)
	case "retry":
		return h.inspect.ListRetryTasks(queue, opts...)
	default:
		return h.inspect.ListArchivedTasks(queue, opts...)
	}
}

func reply(w http.ResponseWriter, v any) {
	_ = json.NewEncoder(w).Encode(v) // the client is gone if this fails
}

func fail(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	switch {
	case errors.Is(err, jobs.ErrNotFound), errors.Is(err, asynq.ErrTaskNotFound), errors.Is(err, asynq.ErrQueueNotFound):
		code = http.StatusNotFound
	case errors.Is(err, jobs.ErrOpen), errors.Is(err, jobs.ErrEnded):
		code = http.StatusConflict
	}
	http.Error(w, http.StatusText(code), code)
}
