// Package config holds what the two binaries share of their command lines: a
// flag and an environment variable for each setting, checks that name both,
// and clients made from them. It holds no setting that only one of them has, and
// the libraries know nothing of it. Only cmd/web and cmd/worker use it.
package config

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"lastmile/internal/redisconn"
)

// Exit codes of the binaries.
const (
	// ExitOK: all went well, or help was asked for.
	ExitOK = 0
	// ExitFailed: the work failed.
	ExitFailed = 1
	// ExitUsage: the command line or the environment is wrong.
	ExitUsage = 2
)

// ErrUsage marks a command line that cannot be run.
var ErrUsage = redisconn.ErrSetting

// Redis are the settings of the connection to Redis.
type Redis = redisconn.Settings

// errHelp stops the parsing once the help is out.
var errHelp = errors.New("help was printed")

// Checker is a group of settings with bounds of its own.
type Checker interface {
	// Check returns an error that names the flag, the value and the bound.
	Check() error
}

// Parse reads args and the environment into app, a pointer to a struct with
// kong's tags, and checks every [Checker] among its fields and itself. When
// done is true the caller exits with code: help was printed to out, or the
// fault to errs.
func Parse(app any, name, about string, args []string, out, errs io.Writer) (kctx *kong.Context, code int, done bool) {
	defer func() {
		if r := recover(); r != nil {
			if err, ok := r.(error); !ok || !errors.Is(err, errHelp) {
				panic(r)
			}
			kctx, code, done = nil, ExitOK, true
		}
	}()
	parser, err := kong.New(app, kong.Name(name), kong.Description(about), kong.Writers(out, errs),
		kong.Exit(func(int) { panic(errHelp) }), kong.Vars{"version": name + " " + build()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}))
	if err != nil {
		return nil, Exit(errs, name, false, err), true
	}
	if len(args) > 0 && args[0] == "--complete" {
		for _, word := range candidates(parser.Model.Node, args[1:]) {
			_, _ = fmt.Fprintln(out, word) // a shell that has gone needs none
		}
		return nil, ExitOK, true
	}
	if shell, ok := strings.CutPrefix(strings.Join(args, ""), "--completion"); ok && len(args) <= 2 {
		err := script(name, strings.TrimPrefix(shell, "="), out)
		return nil, Exit(errs, name, false, err), true
	}
	said := ""
	if kctx, err = parser.Parse(args); err != nil {
		said = scrub(err.Error(), args, true)
		if strings.Contains(said, "unexpected argument") {
			said += meant(parser.Model.Node, args)
		}
	} else if err = check(reflect.ValueOf(app)); err != nil {
		said = scrub(err.Error(), args, false)
	}
	if err != nil && slices.Contains(args, "--json") {
		return nil, Exit(errs, name, true, usageError(said)), true
	}
	if err != nil {
		_, _ = fmt.Fprintf(errs, "%s: %s\nRun \"%s --help\" for the settings.\n", name, said, name)
		return nil, ExitUsage, true
	}
	return kctx, ExitOK, false
}

// usageError is about the command line, in the words that are told.
type usageError string

func (e usageError) Error() string { return string(e) }

func (e usageError) Is(target error) bool { return target == ErrUsage }

// Exit says to errs what went wrong, if anything did, as text or as a JSON object with
// the key error, and returns the exit code.
func Exit(errs io.Writer, name string, asJSON bool, err error) int {
	if err == nil {
		return ExitOK
	}
	if asJSON {
		_ = json.NewEncoder(errs).Encode(map[string]string{"error": err.Error()}) // nowhere else to tell
	} else {
		_, _ = fmt.Fprintf(errs, "%s: %v\n", name, err)
	}
	if errors.Is(err, ErrUsage) {
		return ExitUsage
	}
	return ExitFailed
}

// check calls Check on the struct behind v and on its fields.
func check(v reflect.Value) error {
	if c, ok := reflect.TypeAssert[Checker](v); ok {
		if err := c.Check(); err != nil {
			return err
		}
	}
	for s, i := v.Elem(), 0; i < s.NumField(); i++ {
		if f := s.Field(i); f.Kind() == reflect.Struct && s.Type().Field(i).IsExported() {
			if err := check(f.Addr()); err != nil {
				return err
			}
		}
	}
	return nil
}

// Range checks that a flag's value is between low and high.
func Range[T cmp.Ordered](flag string, v, low, high T) error {
	if v < low || v > high {
		return fmt.Errorf("%w: --%s=%v: must be %v to %v", ErrUsage, flag, v, low, high)
	}
	return nil
}

// Version returns the module version or the commit that the binary is of.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (version == "" || version == "(devel)") {
			version = s.Value[:min(12, len(s.Value))]
		}
	}
	return cmp.Or(version, "devel")
}

// build says in one line what the binary is: its version, and what made it for what.
func build() string {
	return fmt.Sprintf("%s (%s, %s/%s)", Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// About are the flags that say what a program is.
type About struct {
	Version    kong.VersionFlag `name:"version" help:"Print the program's version and exit."`
	Completion string           `name:"completion" placeholder:"SHELL" help:"Print a script that has bash, fish or zsh complete this program's command line, and exit. Alone."`
}

// Check is reached when Parse has not taken the flag as the only one.
func (a *About) Check() error {
	if a.Completion != "" {
		return fmt.Errorf("%w: --completion=%s: must be the only flag", ErrUsage, a.Completion)
	}
	return nil
}

// Log are the settings of the log.
type Log struct {
	Format string     `name:"log-format" env:"LOG_FORMAT" enum:"text,json" default:"text" help:"Form of the log: text or json."`
	Level  slog.Level `name:"log-level" env:"LOG_LEVEL" default:"info" help:"Least level that is logged: debug, info, warn or error."`
}

// Trace are the settings of tracing.
type Trace struct {
	Endpoint string `name:"otlp-endpoint" env:"OTEL_EXPORTER_OTLP_ENDPOINT" placeholder:"URL" help:"Where traces go, over OTLP/HTTP. None when empty."`
}

// Check checks the endpoint's form.
func (t *Trace) Check() error {
	if t.Endpoint != "" && !strings.HasPrefix(t.Endpoint, "http://") && !strings.HasPrefix(t.Endpoint, "https://") {
		return fmt.Errorf("%w: --otlp-endpoint=%s: must start with http:// or https://", ErrUsage, t.Endpoint)
	}
	return nil
}
