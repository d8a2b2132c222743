// Command clientbuild bundles live/client/*.ts into live/client/dist/live.min.js.
// Run it from the module's root, or through go generate in live/client. It checks
// no types: the TypeScript compiler does, in .ci/run.
package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"lastmile/internal/tools/clientbuild/bundle"
)

func main() {
	dir := flag.String("dir", "live/client", "directory of the TypeScript sources")
	out := flag.String("out", "", "output file; empty means dist/live.min.js under the sources")
	flag.Parse()
	if err := run(*dir, *out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir, out string) error {
	script, err := bundle.Build(dir)
	if err != nil {
		return err
	}
	if out == "" {
		out = filepath.Join(dir, bundle.Output)
	}
	// A source file of the repository: everybody may read it.
	if err := os.WriteFile(out, script, 0o644); err != nil { //nolint:gosec // see above
		return fmt.Errorf("clientbuild: %w", err)
	}
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("clientbuild: %w", err)
	}
	if _, err := w.Write(script); err != nil {
		return fmt.Errorf("clientbuild: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("clientbuild: %w", err)
	}
	slog.Info("client bundled", "file", out, "bytes", len(script), "gzip", zipped.Len())
	return nil
}
