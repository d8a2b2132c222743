// Package taskid names the Asynq tasks of jobs: a job's first generation is the
// task of its ID, later ones have the generation behind it. It knows neither
// queues nor records. Package jobs and the packages below it use it.
package taskid

import (
	"strconv"
	"strings"
)

const mark = "~"

// Of returns the task of a job's generation.
func Of(job string, gen int) string {
	if gen <= 1 {
		return job
	}
	return job + mark + strconv.Itoa(gen)
}

// Job returns the job that a task belongs to.
func Job(task string) string {
	job, _, _ := strings.Cut(task, mark)
	return job
}

// Valid reports whether a job can have the ID.
func Valid(job string) bool { return !strings.Contains(job, mark) }
