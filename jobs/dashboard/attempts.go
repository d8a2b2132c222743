package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"lastmile/jobs"
	"lastmile/jobs/internal/tasks"
)

// Asynq's count of retries is not the job's of attempts: it has no limit that a
// job could reach, and it counts snoozes of plain jobs. So what the console is
// told of a task of ours says the job's: its attempts, and which one failed of
// what.

// mostShown bounds how many tasks of an answer are looked up.
const mostShown = 200

// attempts puts the attempts of jobs into an answer of the console.
func (h *Handler) attempts(ctx context.Context, body []byte) []byte {
	if !bytes.Contains(body, []byte(`"max_retry"`)) {
		return body
	}
	var answer any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if dec.Decode(&answer) != nil {
		return body
	}
	left := mostShown
	h.eachTask(answer, func(task map[string]any, id string) {
		if left--; left < 0 {
			return
		}
		if i, err := h.client.Get(ctx, tasks.JobOf(id)); err == nil && i.Attempts > 0 {
			tell(task, &i)
		}
	})
	var b bytes.Buffer
	if json.NewEncoder(&b).Encode(answer) != nil {
		return body
	}
	return b.Bytes()
}

// eachTask calls f with the tasks of our queues in an answer.
func (h *Handler) eachTask(v any, f func(task map[string]any, id string)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			h.eachTask(e, f)
		}
	case map[string]any:
		id, _ := v["id"].(string)
		queue, _ := v["queue"].(string)
		if _, has := v["max_retry"]; has && id != "" {
			if _, ours := h.client.QueueOf(queue); ours {
				f(v, id)
			}
			return
		}
		for _, e := range v {
			h.eachTask(e, f)
		}
	}
}

// tell writes the job's attempts over Asynq's retries.
func tell(task map[string]any, i *jobs.Info) {
	task["max_retry"], task["retried"] = i.Attempts-1, max(0, i.Attempt-1)
	said, _ := task["error_message"].(string)
	if n := len(i.Failures); n > 0 {
		said = i.Failures[n-1].Message
	}
	if said != "" {
		task["error_message"] = fmt.Sprintf("attempt %d of %d: %s", i.Attempt, i.Attempts, said)
	}
}
