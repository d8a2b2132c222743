// Command frontends writes the libraries of cmd/web/plain's pages into its vendor
// directory: copies of what npm has, minified where it comes long, and React with
// the page's component in one script. The versions are those of package.json beside
// this file; and the checker of accessibility for the tests of cmd/web. npm is not called here: -modules names the node_modules directory that
// .ci/frontends installed.
//
// Datastar is not built: npm has no version of its present wire format, so
// vendor/datastar.js is a copy of bundles/datastar.js of its repository, v1.0.0-RC.5.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"

	"lastmile/internal/repo"
)

func main() {
	modules := flag.String("modules", "", "node_modules directory with the libraries")
	flag.Parse()
	if err := run(*modules); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(modules string) error {
	if modules == "" {
		return errors.New("frontends: -modules is needed")
	}
	root, err := repo.Root()
	if err != nil {
		return err
	}
	modules, err = filepath.Abs(modules)
	if err != nil {
		return fmt.Errorf("frontends: %w", err)
	}
	plain := filepath.Join(root, "cmd/web/plain")
	vendor := func(name string) string { return filepath.Join(plain, "vendor", name) }
	for from, to := range map[string]string{
		"htmx.org/dist/htmx.min.js": vendor("htmx.min.js"), "htmx.org/dist/ext/hx-sse.min.js": vendor("hx-sse.min.js"),
		"axe-core/axe.min.js": filepath.Join(root, "cmd/web/testdata/axe.min.js"),
	} {
		text, err := os.ReadFile(filepath.Join(modules, from))
		if err != nil {
			return fmt.Errorf("frontends: %w", err)
		}
		if err := write(to, text); err != nil {
			return err
		}
	}
	for from, to := range map[string]string{
		filepath.Join(modules, "@hotwired/turbo/dist/turbo.es2017-esm.js"): "turbo.js",
		filepath.Join(plain, "react/page.jsx"):                             "react.js",
	} {
		text, err := build(root, modules, from)
		if err != nil {
			return err
		}
		if err := write(vendor(to), text); err != nil {
			return err
		}
	}
	return nil
}

// build bundles a module with all that it imports.
func build(root, modules, entry string) ([]byte, error) {
	r := api.Build(api.BuildOptions{
		EntryPoints: []string{entry}, Bundle: true, Format: api.FormatESModule, Platform: api.PlatformBrowser, Target: api.ES2022,
		MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true, Charset: api.CharsetASCII,
		JSX: api.JSXAutomatic, NodePaths: []string{modules}, LegalComments: api.LegalCommentsInline, LogLevel: api.LogLevelSilent,
		Define: map[string]string{"process.env.NODE_ENV": `"production"`},
		Alias:  map[string]string{"lastmile-push/react": filepath.Join(root, "push/pushhttp/script/dist/useLastmile.js")},
	})
	if len(r.Errors) > 0 {
		return nil, fmt.Errorf("frontends: %s: %s", entry, r.Errors[0].Text)
	}
	return r.OutputFiles[0].Contents, nil
}

func write(name string, text []byte) error {
	if err := os.WriteFile(name, text, 0o644); err != nil { //nolint:gosec // a file of the repository: everybody may read it
		return fmt.Errorf("frontends: %w", err)
	}
	fmt.Println(name, len(text), "bytes")
	return nil
}
