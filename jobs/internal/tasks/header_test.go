package tasks_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"lastmile/jobs/internal/tasks"
)

// TestHeaderFormat: tasks that are stored are read by every version.
func TestHeaderFormat(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		h    tasks.Header
		want map[string]string
	}{
		{
			tasks.Header{App: "lm", ID: "a", Gen: 2, Codec: "json", Options: `{"t":1}`},
			map[string]string{"lm-app": "lm", "lm-id": "a", "lm-gen": "2", "lm-codec": "json", "lm-opt": `{"t":1}`},
		},
		{
			tasks.Header{App: "lm", ID: "a", Gen: 1, Codec: "x", Options: `{"t": 1}`, Plain: true, Made: time.UnixMilli(123)},
			map[string]string{"lm-app": "lm", "lm-id": "a", "lm-codec": "x", "lm-plain": `123 {"t": 1}`},
		},
	} {
		m := tt.h.Encode()
		if !maps.Equal(m, tt.want) {
			t.Errorf("encoded %v, want %v", m, tt.want)
		}
		if got, err := tasks.ParseHeader(m); err != nil || got != tt.h || tasks.IsPlain(m) != tt.h.Plain {
			t.Errorf("parsed %+v, %v, want %+v", got, err, tt.h)
		}
	}
	for name, m := range map[string]map[string]string{
		"nothing":              nil,
		"no generation":        {"lm-id": "a"},
		"no number":            {"lm-id": "a", "lm-gen": "x"},
		"a plain job untimed":  {"lm-id": "a", "lm-plain": "x {}"},
		"a plain job unnamed":  {"lm-plain": "1 {}"},
		"somebody else's task": {"other": "1"},
	} {
		if _, err := tasks.ParseHeader(m); !errors.Is(err, tasks.ErrNoJob) {
			t.Errorf("%s: %v, want ErrNoJob", name, err)
		}
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		gen  int
		want string
	}{{0, "a"}, {1, "a"}, {2, "a~2"}, {10, "a~10"}} {
		id := tasks.IDOf("a", tt.gen)
		if id != tt.want || tasks.JobOf(id) != "a" {
			t.Errorf("generation %d is %q, of job %q", tt.gen, id, tasks.JobOf(id))
		}
	}
	if tasks.ValidJob("a~2") || !tasks.ValidJob("a") {
		t.Error("a job's ID may look like a task's")
	}
}
