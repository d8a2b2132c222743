package pages

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lastmile/live"
	"lastmile/push"
)

// BoardState is what this session has seen on the board.
type BoardState struct {
	Posts []Post `live:"persist"`
}

// Post is a line on the board.
type Post struct {
	ID   string    `json:"id"`
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

const (
	boardTopic = "board"
	maxPosts   = 50
	maxPost    = 280
)

// Board is a line of talk between everybody who looks at the page. A topic
// reaches who is there, at most once; what has to arrive is a push.
type Board struct{}

// OnConnect joins.
func (b *Board) OnConnect(s BoardState, ctx *live.Context) (BoardState, error) {
	return s, ctx.Subscribe(boardTopic)
}

// Say puts a line on the board of everybody.
func (b *Board) Say(s BoardState, ctx *live.Context) (BoardState, error) {
	text := strings.TrimSpace(ctx.GetString("text"))
	if n := utf8.RuneCountInString(text); n == 0 || n > maxPost {
		ctx.SetFlash("error", fmt.Sprintf("Write 1 to %d characters.", maxPost))
		return s, nil
	}
	post := Post{ID: ctx.ActionID(), At: time.Now().UTC(), Text: text}
	s.Posts = post.onto(s.Posts)
	return s, ctx.Publish(boardTopic, "Said", post)
}

// Said takes a line of somebody, perhaps of another tab of this session.
func (b *Board) Said(s BoardState, ctx *live.Context) (BoardState, error) {
	var post Post
	if err := ctx.Bind(&post); err != nil {
		return s, fmt.Errorf("%w: %w", push.ErrReject, err)
	}
	s.Posts = post.onto(s.Posts)
	return s, nil
}

// onto puts the post on top unless it is there already.
func (p Post) onto(posts []Post) []Post {
	if slices.ContainsFunc(posts, func(o Post) bool { return o.ID == p.ID }) {
		return posts
	}
	posts = append([]Post{p}, posts...)
	return posts[:min(len(posts), maxPosts)]
}
