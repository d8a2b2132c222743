package cron

import "time"

// SetClock makes the cron read another clock.
func (c *Cron) SetClock(now func() time.Time) { c.now = now }
