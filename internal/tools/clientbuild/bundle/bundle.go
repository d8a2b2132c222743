// Package bundle turns the TypeScript sources of the browser client into the
// one script that lastmile/live/client embeds. It needs no Node: esbuild is a
// Go program. The same sources always give the same bytes.
package bundle

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

const (
	// Entry is the source file that bundling starts from.
	Entry = "main.ts"
	// Output is the bundle's place, relative to the sources.
	Output = "dist/live.min.js"
)

// banner says on the shipped script where it comes from.
const banner = "/* Lastmile; generated from live/client */"

// Build bundles the sources in dir and returns the minified script. It writes
// nothing.
func Build(dir string) ([]byte, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	result := api.Build(api.BuildOptions{
		AbsWorkingDir:     abs,
		EntryPoints:       []string{Entry},
		Bundle:            true,
		Format:            api.FormatIIFE,
		Platform:          api.PlatformBrowser,
		Target:            api.ES2022, // what the README's browsers have
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		Charset:           api.CharsetASCII, // right in a page of any encoding
		LegalComments:     api.LegalCommentsNone,
		Banner:            map[string]string{"js": banner},
		Write:             false,
		LogLevel:          api.LogLevelSilent,
	})
	if len(result.Errors) > 0 {
		var all []error
		for _, line := range api.FormatMessages(result.Errors, api.FormatMessagesOptions{}) {
			all = append(all, errors.New(line))
		}
		return nil, fmt.Errorf("bundle: %w", errors.Join(all...))
	}
	if len(result.OutputFiles) != 1 {
		return nil, fmt.Errorf("bundle: %d output files, want 1", len(result.OutputFiles))
	}
	return result.OutputFiles[0].Contents, nil
}
