package jobs_test

import (
	"context"
	"strings"
	"time"

	"lastmile/jobs"
)

// ask does a step, pushes, asks, and does another step.
func (s *scene) ask(ctx context.Context, name string) (result, error) {
	for _, part := range []string{"before", "behind"} {
		_, err := jobs.Do(ctx, part, func(ctx context.Context) (int, error) {
			return s.note(name + ", " + part), jobs.Emit(ctx, "Did", map[string]string{"part": name + " " + part})
		})
		if err != nil {
			return result{}, err
		}
		if yes, err := jobs.Wait[bool](ctx, "go on", time.Hour); err != nil || !yes {
			return result{}, err
		}
	}
	return result{7}, nil
}

// playQuestion has a job do a step, ask twice and do another step.
func playQuestion(s *scene) func() {
	id := s.name + "/asks"
	s.try(func() error {
		_, err := s.kind.With(s.k.Client).Enqueue(s.t.Context(), args{id}, jobs.ID(id), notify(s.k),
			jobs.MaxRetry(500), jobs.RetryBackoff(time.Second, time.Second))
		return err
	})
	for _, name := range []string{"go on", "go on#2"} {
		s.try(func() error { return jobs.Answer(s.t.Context(), s.k.Client, id, name, true) })
	}
	return all(s.end(id, jobs.StateCompleted), func() {
		var told []string
		for _, p := range s.k.Events("s") {
			if p.Action == "Did" && strings.Contains(string(p.Data), id+" ") {
				told = append(told, string(p.Data))
			}
		}
		if len(told) != 2 || !strings.Contains(told[0], "before") || !strings.Contains(told[1], "behind") {
			s.t.Errorf("%s: the page is told %v", id, told)
		}
	})
}
