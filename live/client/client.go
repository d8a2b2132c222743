// Package client holds the browser's half of Lastmile: TypeScript without
// dependencies, bundled into one small script that this package embeds. The
// README beside it documents the HTML attributes, events and hooks.
//
// The sources are live/client/*.ts; go generate rebuilds dist/live.min.js from
// them, and a test fails when the two differ.
package client

import (
	"crypto/sha256"
	_ "embed" // for the script
	"encoding/hex"
)

//go:generate go run lastmile/internal/tools/clientbuild -dir .

//go:embed dist/live.min.js
var script string

//go:embed dist/lane.min.js
var lane string

//go:embed dist/address.min.js
var address string

//go:embed dist/disable.min.js
var disable string

// Script returns the bundled script and a file name that changes with its
// content ("client.<hash>.js"), so that it may be cached for ever under that
// name. It hashes the script at each call: call it once and keep the result,
// which belongs to the caller.
func Script() (name string, body []byte) { return named("client", script) }

// Lane is Script for the module that the client loads where WebSockets do not
// pass ("lane.<hash>.js").
func Lane() (name string, body []byte) { return named("lane", lane) }

// Address is Script for the module that pages have besides whose controller
// follows their address ("address.<hash>.js").
func Address() (name string, body []byte) { return named("address", address) }

// Disable is Script for the module that pages have besides whose template has
// live-disable ("disable.<hash>.js").
func Disable() (name string, body []byte) { return named("disable", disable) }

func named(kind, text string) (name string, body []byte) {
	body = []byte(text)
	sum := sha256.Sum256(body)
	return kind + "." + hex.EncodeToString(sum[:8]) + ".js", body
}
