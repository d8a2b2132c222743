package pages

import (
	"fmt"
	"time"

	"lastmile/live"
)

// State is what the page shows: nothing, until the data is there.
type State struct {
	Value string
}

// Controller loads slow data when a page connects. The page is there at once;
// the data follows by a push, from a goroutine that knows nothing of the page.
type Controller struct{}

// OnConnect starts the loading and returns.
func (c *Controller) OnConnect(state State, ctx *live.Context) (State, error) {
	session := ctx.Session()
	go func() {
		result := fetchSlowData()
		_ = session.TriggerAction("DataLoaded", map[string]any{"value": result})
	}()
	return state, nil
}

// DataLoaded takes the data.
func (c *Controller) DataLoaded(state State, ctx *live.Context) (State, error) {
	state.Value = ctx.GetString("value")
	return state, nil
}

// fetchSlowData stands for a query or a remote call that takes its time.
func fetchSlowData() string {
	start := time.Now()
	<-time.After(2 * time.Second)
	return fmt.Sprintf("loaded at %s UTC, %s after it was asked for",
		time.Now().UTC().Format(time.TimeOnly), time.Since(start).Round(100*time.Millisecond))
}
