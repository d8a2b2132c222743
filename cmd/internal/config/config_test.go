package config_test

import (
	"bytes"
	"strings"
	"testing"

	"lastmile/cmd/internal/config"
)

type app struct {
	config.Redis
	config.Log
	config.Trace
	config.About
	Upload      config.Size `name:"max-upload" env:"TEST_CONFIG_MAX_UPLOAD" default:"64MB" help:"Largest file."`
	Concurrency int         `name:"concurrency" default:"10" help:"Jobs at a time."`
}

func (a *app) Check() error { return config.Range("max-upload", a.Upload, config.KB, config.GB) }

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args string
		code int
		done bool
		want []string // parts of what is printed
	}{
		{"defaults", "", config.ExitOK, false, nil},
		{"help names flag and environment", "--help", config.ExitOK, true, []string{"--redis-url", "($REDIS_URL)", "--log-format", "($LOG_FORMAT)", "64MB"}},
		{"version", "--version", config.ExitOK, true, []string{config.Version()}},
		{"unknown flag", "--nope", config.ExitUsage, true, []string{"--nope"}},
		{"not a number", "--concurrency=many", config.ExitUsage, true, []string{"--concurrency", "many"}},
		{"not a size", "--max-upload=big", config.ExitUsage, true, []string{"--max-upload", "big", "64MB"}},
		{"out of bounds", "--max-upload=2GB", config.ExitUsage, true, []string{"--max-upload=2GB", "1KB to 1GB"}},
		{"not one of", "--log-format=xml", config.ExitUsage, true, []string{"--log-format", "xml", "json"}},
		{"no level", "--log-level=loud", config.ExitUsage, true, []string{"--log-level", "loud"}},
		{"no endpoint", "--otlp-endpoint=localhost", config.ExitUsage, true, []string{"--otlp-endpoint=localhost", "http://"}},
		{"no scheme", "--redis-url=localhost:6379", config.ExitUsage, true, []string{"--redis-url", "redis://"}},
		{"wrong scheme", "--redis-url=http://user:secret@h", config.ExitUsage, true, []string{"--redis-url", "rediss"}},
		{"bad database", "--redis-url=redis://:secret@h:1/x", config.ExitUsage, true, []string{"--redis-url"}},
		{"bad prefix", "--redis-prefix={x}", config.ExitUsage, true, []string{"--redis-prefix={x}", "letters"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			_, code, done := config.Parse(&app{}, "app", "An app.", strings.Fields(tt.args), &out, &errs)
			if code != tt.code || done != tt.done {
				t.Errorf("got code %d done %v, want %d %v", code, done, tt.code, tt.done)
			}
			printed := out.String() + errs.String()
			for _, w := range tt.want {
				if !strings.Contains(printed, w) {
					t.Errorf("printed no %q:\n%s", w, printed)
				}
			}
			if strings.Contains(printed, "secret") {
				t.Errorf("printed a password:\n%s", printed)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("TEST_CONFIG_MAX_UPLOAD", "12KB")
	var a app
	var errs bytes.Buffer
	if _, _, done := config.Parse(&a, "app", "", nil, &errs, &errs); done || a.Upload != 12*config.KB {
		t.Errorf("got %v, %s", a.Upload, &errs)
	}
	t.Setenv("TEST_CONFIG_MAX_UPLOAD", "12 parsecs")
	if _, code, _ := config.Parse(&a, "app", "", nil, &errs, &errs); code != config.ExitUsage || !strings.Contains(errs.String(), "TEST_CONFIG_MAX_UPLOAD") {
		t.Errorf("got code %d, %s", code, &errs)
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   string
		want config.Size
		out  string
	}{
		{"0", 0, "0"},
		{"1500", 1500, "1500"},
		{"64MB", 64 << 20, "64MB"},
		{"64 mib", 64 << 20, "64MB"},
		{"2g", 2 << 30, "2GB"},
		{"1536KB", 1536 << 10, "1536KB"},
		{"10B", 10, "10"},
	} {
		var s config.Size
		if err := s.UnmarshalText([]byte(tt.in)); err != nil || s != tt.want || s.String() != tt.out {
			t.Errorf("%q: got %d, %q, %v, want %d, %q", tt.in, s, s, err, tt.want, tt.out)
		}
	}
	for _, in := range []string{"", "-1", "1.5MB", "MB", "9223372036854775807GB"} {
		var s config.Size
		if err := s.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q: got %d, want an error", in, s)
		}
	}
}

func TestRedisClients(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"redis://user:pw@127.0.0.1:6379/2", "rediss://127.0.0.1:6379", "unix:///run/redis.sock",
		"redis+cluster://127.0.0.1:7000?addr=127.0.0.1:7001", "redis+sentinel://127.0.0.1:26379/0?master_name=main",
	} {
		r := config.Redis{URL: url, Prefix: "lm"}
		if err := r.Check(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	r := config.Redis{URL: "redis+sentinel://user:one@h:1?master_name=m&sentinel_password=two"}
	if got := r.Redacted(); strings.Contains(got, "one") || strings.Contains(got, "two") {
		t.Errorf("Redacted: got %s", got)
	}
}
