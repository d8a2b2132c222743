package tasks

import (
	"strconv"
	"strings"
)

const generationMark = "~"

// IDOf names the Asynq task of a job's generation: the first is the task of the
// job's own ID, later ones have the generation behind it.
func IDOf(job string, gen int) string {
	if gen <= 1 {
		return job
	}
	return job + generationMark + strconv.Itoa(gen)
}

// JobOf returns the job that a task belongs to.
func JobOf(task string) string {
	job, _, _ := strings.Cut(task, generationMark)
	return job
}

// ValidJob reports whether a job can have the ID.
func ValidJob(job string) bool { return !strings.Contains(job, generationMark) }
