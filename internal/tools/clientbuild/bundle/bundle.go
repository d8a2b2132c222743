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

// Output is the bundle's place, relative to the sources.
const Output = "dist/live.min.js"

// main is what the shipped script starts with. Modules run before those that
// import them in any case; beyond that the order is one that gzip likes: 86 bytes.
const main = `import "./fields"; import "./given"; import "./controls"; import "./hydrate"; import "./dom"; import "./apply"; import "./queue"; import "./rebuild"; import "./input"; import "./hooks"; import "./protocol"; import "./units"; import "./core"; import "./instance"; import "./page"; import "./socket"; import "./blocks"; import "./main"`

// private are names of properties that only the client's own code uses: the
// bundle may shorten them. A name that the DOM, the wire or a page's scripts
// have too must not be here.
const private = `^(?:about|ack|act|address|adopt|again|all|anew|answered|arrive|arriving|block|bound|busy|came|carried|choice|config|control|controls|dataOf|define|delay|display|down|drop|echoes|edit|enroll|entry|expect|expecting|failed|fields|fills|finish|fixed|flashed|flush|flushAck|flying|forced|fresh|full|gone|head|heard|hello|hooks|host|identity|inner|inputs|just|kept|key|keyed|kind|late|later|lead|leave|leftBy|lost|mismatch|morph|mount|names|newer|nodes|note|only|owner|paired|parts|path|pause|port|problem|rebuild|rec|receive|recover|renamed|rendered|report|request|resetted|restore|rivals|root|sent|settle|settleAll|shown|since|socket|spots|stop|tag|tail|touched|unanswered|unended|units|up|update|updated|user|wake|was|whole|write|written|wrote|first|last|mounted|destroyed|destroy|attribute|unit)$`

// banner says on the shipped script where it comes from.
const banner = "/* Lastmile, live/client */"

// Build bundles the sources in dir and returns the minified script. It writes
// nothing.
func Build(dir string) ([]byte, error) { return BuildSource(dir, main) }

// BuildSource is Build for a script that begins with the given source, as if
// that were a file in dir.
func BuildSource(dir, source string) ([]byte, error) { return build(dir, source, private) }

// BuildPlain is BuildSource with all names of properties as they are, for code
// that is not the client's own.
func BuildPlain(dir, source string) ([]byte, error) { return build(dir, source, "") }

// Module is where the modules for other programs than live pages are.
const Module = "push/pushhttp/script"

// Modules are the names of those modules.
func Modules() []string { return []string{"push", "useLastmile"} }

// BuildModule builds the ES module <name>.ts of dir, for other programs to import:
// what it exports keeps its name, and what it imports stays an import.
func BuildModule(dir, name string) ([]byte, error) {
	return run(dir, api.BuildOptions{
		EntryPoints: []string{name + ".ts"}, Format: api.FormatESModule, Banner: map[string]string{"js": "/* Lastmile, push/pushhttp */"},
	})
}

// Parts are the modules that a page loads only when it needs them: lane where
// WebSockets do not pass, address where the page follows its address, disable
// where the template has live-disable.
func Parts() []string { return []string{"lane", "address", "disable"} }

// PartOutput is the place of a part, relative to the sources.
func PartOutput(name string) string { return "dist/" + name + ".min.js" }

// BuildPart builds one of Parts, with what it imports in it.
func BuildPart(dir, name string) ([]byte, error) {
	return run(dir, api.BuildOptions{
		EntryPoints: []string{name + ".ts"}, Bundle: true, Format: api.FormatESModule, Banner: map[string]string{"js": banner},
	})
}

func build(dir, source, private string) ([]byte, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	return run(dir, api.BuildOptions{
		Stdin:  &api.StdinOptions{Contents: source, ResolveDir: abs, Loader: api.LoaderTS},
		Bundle: true, Format: api.FormatIIFE, MangleProps: private, Banner: map[string]string{"js": banner},
	})
}

// run builds one script, in the way that all are built.
func run(dir string, options api.BuildOptions) ([]byte, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	options.AbsWorkingDir = abs
	options.Platform = api.PlatformBrowser
	options.Target = api.ES2022 // what the README's browsers have
	options.MinifyWhitespace, options.MinifyIdentifiers, options.MinifySyntax = true, true, true
	options.Charset = api.CharsetASCII // right in a page of any encoding
	options.LegalComments = api.LegalCommentsNone
	options.Write = false
	options.LogLevel = api.LogLevelSilent
	result := api.Build(options)
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
