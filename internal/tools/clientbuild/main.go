// Command clientbuild bundles live/client/*.ts into live/client/dist/live.min.js
// and, beside it, the parts that a page loads only when it needs them,
// or with -modules builds push/pushhttp/script/*.ts, each into an ES module in
// its dist. Run it from the module's root, or through go generate in live/client
// and push/pushhttp. It checks no types: the TypeScript compiler does, in .ci/run.
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
	modules := flag.Bool("modules", false, "build the modules of push/pushhttp instead; -dir is where their sources are")
	flag.Parse()
	if err := run(*dir, *out, *modules); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir, out string, modules bool) error {
	if modules {
		for _, name := range bundle.Modules() {
			script, err := bundle.BuildModule(dir, name)
			if err != nil {
				return err
			}
			if err := write(filepath.Join(dir, "dist", name+".js"), script); err != nil {
				return err
			}
		}
		return nil
	}
	script, err := bundle.Build(dir)
	if err != nil {
		return err
	}
	if out == "" {
		out = filepath.Join(dir, bundle.Output)
		for _, name := range bundle.Parts() {
			part, err := bundle.BuildPart(dir, name)
			if err != nil {
				return err
			}
			if err := write(filepath.Join(dir, bundle.PartOutput(name)), part); err != nil {
				return err
			}
		}
	}
	return write(out, script)
}

func write(out string, script []byte) error {
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
	slog.Info("script built", "file", out, "bytes", len(script), "gzip", zipped.Len())
	return nil
}
