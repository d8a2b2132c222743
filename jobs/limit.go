package jobs

import (
	"context"
	"time"
)

type limit struct{}

func (c *Client) acquire(context.Context, *execution) (release func(), wait time.Duration, err error) {
	return func() {}, 0, nil
}
