// Package recipes is the code of docs/recipes that needs nothing but Lastmile: a
// file for each, and a page for each.
package recipes

import (
	"errors"

	"lastmile"
	"lastmile/live"
)

// Setup registers all of them.
func Setup(app *lastmile.App) error {
	return errors.Join(search(app), toast(app), presence(app), chat(app), webhook(app), timer(app))
}

// Topics says who may subscribe to what: everybody to both.
func Topics(_ live.Identity, topic string) error {
	if topic == "here" || topic == "chat" {
		return nil
	}
	return live.ErrTopic
}
