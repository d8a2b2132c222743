package config_test

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"lastmile/cmd/internal/config"
)

// tool is a program with commands.
type tool struct {
	config.Redis
	config.Log
	config.About
	Go   struct{} `cmd:"" help:"Go on."`
	Jobs struct {
		List struct {
			State string `name:"state" enum:"queued,failed" default:"queued" help:"Of this state. And no other."`
			All   bool   `name:"all" help:"All."`
		} `cmd:"" help:"List them."`
		Show struct{} `cmd:"" help:"Show one."`
	} `cmd:"" help:"Look after jobs."`
	Secret struct{} `cmd:"" hidden:""`
}

// TestComplete: what can stand where a word is being typed.
func TestComplete(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		words []string
		want  string
	}{
		{nil, "go jobs"},
		{[]string{""}, "go jobs"},
		{[]string{"j"}, "jobs"},
		{[]string{"jobs", ""}, "list show"},
		{[]string{"jobs", "x"}, ""},
		{[]string{"jobs", "list", "--st"}, "--state"},
		{[]string{"jobs", "list", "--log"}, "--log-format --log-level"},
		{[]string{"jobs", "list", "--state", ""}, "queued failed"},
		{[]string{"jobs", "list", "--state", "f"}, "failed"},
		{[]string{"jobs", "list", "--state=f"}, "--state=failed"},
		{[]string{"jobs", "list", "--state", "="}, "queued failed"},    // as bash takes --state= apart
		{[]string{"jobs", "list", "--state", "=", "f"}, "failed"},      // and --state=f
		{[]string{"--redis-url", "jobs", "g"}, "go"},                   // a flag's value is no command
		{[]string{"--redis-url", ""}, ""},                              // a file, or anything
		{[]string{"jobs", "list", "--all", ""}, ""},                    // a flag without a value
		{[]string{"--nobody=", ""}, "go jobs"},                         // a flag that there is not
		{[]string{"--redis-url", "redis", ":", "//h", "jobs"}, "jobs"}, // as bash takes a URL apart
		{[]string{"jobs", "list", "--redis-password-f"}, "--redis-password-file"},
	} {
		var out, errs bytes.Buffer
		_, code, done := config.Parse(&tool{}, "tool", "A tool.", append([]string{"--complete"}, tt.words...), &out, &errs)
		var words []string
		for line := range strings.Lines(out.String()) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			words = append(words, word)
		}
		if got := strings.Join(words, " "); got != tt.want || code != config.ExitOK || !done || errs.Len() > 0 {
			t.Errorf("%q: got %q, code %d, errors %q; want %q", tt.words, got, code, errs.String(), tt.want)
		}
	}
}

// TestCompletionScripts: the script of bash, run by bash with a program that answers
// as this one does; the others are there, and a shell that is none is refused.
func TestCompletionScripts(t *testing.T) {
	t.Parallel()
	script := func(args ...string) (string, string, int) {
		var out, errs bytes.Buffer
		_, code, done := config.Parse(&tool{}, "a-tool", "A tool.", args, &out, &errs)
		if !done {
			t.Errorf("%q: it goes on", args)
		}
		return out.String(), errs.String(), code
	}
	bash, _, _ := script("--completion=bash")
	cmd := exec.CommandContext(t.Context(), "bash", "--norc", "-c", bash+`
a-tool() { printf '%s\t%s\n' "$1$2" help "$3" help; }
COMP_WORDS=(a-tool jobs '') COMP_CWORD=2
_a_tool
printf '%s|' "${COMPREPLY[@]}"`)
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "--completejobs|" {
		t.Errorf("bash: %q, %v", out, err)
	}
	for _, shell := range []string{"zsh", "fish"} {
		if out, _, code := script("--completion", shell); code != config.ExitOK || !strings.Contains(out, "a-tool") || !strings.Contains(out, "--complete") {
			t.Errorf("%s: code %d:\n%s", shell, code, out)
		}
	}
	for _, args := range [][]string{{"--completion=tcsh"}, {"--completion"}, {"--completion=bash", "go"}} {
		if _, errs, code := script(args...); code != config.ExitUsage || !strings.Contains(errs, "--completion=") {
			t.Errorf("%q: code %d: %s", args, code, errs)
		}
	}
}

// TestErrorsOfCommands: who types a command's last word alone is told the whole, and
// --json has errors in JSON too.
func TestErrorsOfCommands(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args, want string
	}{
		{"list", "tool: unexpected argument list; did you mean jobs list?\nRun \"tool --help\" for the settings.\n"},
		{"--json list", `{"error":"unknown flag --json"}` + "\n"},
		{"--redis-url=nowhere --completion=bash go", "tool: "},
	} {
		var out, errs bytes.Buffer
		_, code, done := config.Parse(&tool{}, "tool", "A tool.", strings.Fields(tt.args), &out, &errs)
		if code != config.ExitUsage || !done || !strings.HasPrefix(errs.String(), tt.want) {
			t.Errorf("%s: code %d, %q; want %q", tt.args, code, errs.String(), tt.want)
		}
	}
}
