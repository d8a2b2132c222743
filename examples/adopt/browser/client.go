package browser

import (
	"context"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"lastmile/jobs"
)

// SignUp enqueues what a new user sets off: a mail at once, another a day later,
// and the resizing of the user's picture.
func SignUp(ctx context.Context, rdb redis.UniversalClient, userID int, picture string) error {
	client := asynq.NewClientFromRedisClient(rdb)

	task, err := NewEmailDeliveryTask(userID, "some:template:id")
	if err != nil {
		return err
	}
	if _, err := client.EnqueueContext(ctx, task); err != nil {
		return err
	}
	if _, err := client.EnqueueContext(ctx, task, asynq.ProcessIn(24*time.Hour)); err != nil {
		return err
	}

	task, err = NewImageResizeTask(picture)
	if err != nil {
		return err
	}
	task = jobs.Bind(task, jobs.SessionOf(ctx), jobs.On("PictureChanged", jobs.StateRunning, jobs.StateCompleted, jobs.StateFailed))
	_, err = client.EnqueueContext(ctx, task, asynq.MaxRetry(10), asynq.Timeout(3*time.Minute))
	return err
}
