package recipes

import (
	"html/template"
	"strings"

	"lastmile"
	"lastmile/live"
)

// Chat is the state of a page where everybody talks to everybody.
type Chat struct {
	Lines []string `live:"load"`
}

var chatPage = template.Must(template.New("chat").Parse(`<ol>{{range .Lines}}<li>{{.}}</li>{{end}}</ol>
<form method="post" live-reset>
  <input name="text" maxlength="200" autocomplete="off" required>
  <button name="live-action" value="Say">Say</button>
</form>`))

// ChatPage has its actions.
type ChatPage struct{ app *lastmile.App }

const (
	chatKey  = "recipes:chat"
	maxLines = 100
)

// OnLoad reads the last lines.
func (p *ChatPage) OnLoad(s Chat, ctx *live.Context) (lines Chat, err error) {
	s.Lines, err = p.app.Redis().LRange(ctx, chatKey, -maxLines, -1).Result()
	return s, err
}

// OnConnect follows the topic.
func (*ChatPage) OnConnect(s Chat, ctx *live.Context) (Chat, error) {
	return s, ctx.Subscribe("chat")
}

// Say stores a line first, and then tells the others to look.
func (p *ChatPage) Say(s Chat, ctx *live.Context) (Chat, error) {
	text := strings.TrimSpace(ctx.GetString("text"))
	if text == "" || len(text) > 800 {
		return s, live.UserError{Text: "Say something, in 200 letters."}
	}
	pipe := p.app.Redis().TxPipeline()
	pipe.RPush(ctx, chatKey, text)
	pipe.LTrim(ctx, chatKey, -maxLines, -1)
	if _, err := pipe.Exec(ctx); err != nil {
		return s, err
	}
	if err := ctx.Publish("chat", "Said", nil); err != nil { // all but this page
		return s, err
	}
	return p.OnLoad(s, ctx)
}

// Said is called by the topic.
func (p *ChatPage) Said(s Chat, ctx *live.Context) (Chat, error) {
	return p.OnLoad(s, ctx)
}

func chat(app *lastmile.App) error {
	return lastmile.Page(app, "/chat", &ChatPage{app}, Chat{}, chatPage, live.ViewConfig{PushOnly: []string{"Said"}})
}
