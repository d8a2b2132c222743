package recipes

import (
	"context"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile"
	"lastmile/live"
)

// Presence is the state of a page that shows who else looks at it.
type Presence struct {
	Name  string
	Entry string   // what this connection is listed as
	Here  []string `live:"load"`
}

var presencePage = template.Must(template.New("presence").Parse(`<ul>{{range .Here}}<li>{{.}}</li>{{end}}</ul>`))

// PresencePage has its actions.
type PresencePage struct{ app *lastmile.App }

const (
	hereKey  = "recipes:here"
	forgetIn = 12 * time.Hour // a page whose browser and server died together
)

// OnURL takes the name; a signed-in user's is ctx.UserID().
func (*PresencePage) OnURL(s Presence, ctx *live.Context) (Presence, error) {
	s.Name = ctx.Request().Query().Get("name")
	return s, nil
}

// OnConnect lists this connection in place of the one before it, which may not
// have been missed yet.
func (p *PresencePage) OnConnect(s Presence, ctx *live.Context) (Presence, error) {
	former := s.Entry
	s.Entry = ctx.ActionID() + " " + s.Name
	pipe := p.app.Redis().TxPipeline()
	pipe.ZRem(ctx, hereKey, former)
	pipe.ZAdd(ctx, hereKey, redis.Z{Score: float64(time.Now().Unix()), Member: s.Entry})
	if _, err := pipe.Exec(ctx); err != nil {
		return s, err
	}
	if err := ctx.Subscribe("here"); err != nil {
		return s, err
	}
	if err := ctx.Publish("here", "Changed", nil); err != nil {
		return s, err
	}
	return p.OnLoad(s, ctx)
}

// OnDisconnect takes it off the list, whatever ended it.
func (p *PresencePage) OnDisconnect(s Presence, ended *live.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ended), time.Second)
	defer cancel()
	if p.app.Redis().ZRem(ctx, hereKey, s.Entry).Err() == nil {
		_ = p.app.Hub().Publish(ctx, "here", "Changed", nil) // the others see it when they look again
	}
}

// OnLoad reads the list.
func (p *PresencePage) OnLoad(s Presence, ctx *live.Context) (Presence, error) {
	since := strconv.FormatInt(time.Now().Add(-forgetIn).Unix(), 10)
	entries, err := p.app.Redis().ZRangeByScore(ctx, hereKey, &redis.ZRangeBy{Min: since, Max: "+inf"}).Result()
	s.Here = nil
	for _, e := range entries {
		_, name, _ := strings.Cut(e, " ")
		s.Here = append(s.Here, name)
	}
	slices.Sort(s.Here)
	s.Here = slices.Compact(s.Here) // a user's tabs are one
	return s, err
}

// Changed is called by the topic.
func (p *PresencePage) Changed(s Presence, ctx *live.Context) (Presence, error) {
	return p.OnLoad(s, ctx)
}

func presence(app *lastmile.App) error {
	return lastmile.Page(app, "/presence", &PresencePage{app}, Presence{}, presencePage, live.ViewConfig{PushOnly: []string{"Changed"}})
}
