// Package docs is the documentation as it stands, for programs that show it.
package docs

import "embed"

// Files are the Markdown files, by their paths below docs.
//
//go:embed *.md guide/*.md recipes/*.md adr/*.md
var Files embed.FS
