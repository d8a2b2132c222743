package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"lastmile/cmd/internal/config"
	"lastmile/cmd/internal/control"
)

// settings are the program's flags and environment.
type settings struct {
	config.Redis `group:"Redis:"`
	config.Push  `group:"Pushes:"`
	config.Log   `group:"Log and traces:"`
	config.Trace `group:"Log and traces:"`
	config.About

	Addr      string `name:"addr" env:"LASTMILE_ADDR" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address to listen on."`
	PublicURL string `name:"public-url" env:"LASTMILE_PUBLIC_URL" placeholder:"URL" help:"How browsers and webhooks reach this program. Defaults to http:// and the address."`

	AllowedOrigins []string `name:"allowed-origins" env:"LASTMILE_ALLOWED_ORIGINS" placeholder:"URL" help:"Other origins whose pages may connect and post."`
	AdminToken     string   `name:"admin-token" env:"LASTMILE_ADMIN_TOKEN" placeholder:"SECRET" help:"Password (of any user) or bearer token for /ops, /admin/ and /metrics. Without one the program makes one, the same on all nodes, and prints a link with it when it starts."`
	PublishKeys    []string `name:"publish-keys" env:"LASTMILE_PUBLISH_KEYS" placeholder:"SECRET" help:"Bearer tokens, of at least 32 characters each, with which other programs may POST /push/publish. Without one there is no such address."`

	Worker      bool `name:"worker" env:"LASTMILE_WORKER" help:"Run jobs in this process too. Always on with the embedded Redis."`
	Concurrency int  `name:"concurrency" env:"LASTMILE_CONCURRENCY" default:"10" help:"Jobs that run at a time."`

	MaxUpload config.Size   `name:"max-upload" env:"LASTMILE_MAX_UPLOAD" default:"64MB" help:"Largest file that is taken."`
	MaxStored config.Size   `name:"max-stored" env:"LASTMILE_MAX_STORED" default:"1GB" help:"Room in Redis for all uploaded files together."`
	UploadTTL time.Duration `name:"upload-ttl" env:"LASTMILE_UPLOAD_TTL" default:"24h" help:"Time that an uploaded file is kept for its job."`

	MaxConns        int           `name:"max-conns" env:"LASTMILE_MAX_CONNS" default:"100000" help:"Open pages that this process holds."`
	ResumeTTL       time.Duration `name:"resume-ttl" env:"LASTMILE_RESUME_TTL" default:"1h" help:"Time that the state of a lost page is kept."`
	DrainDelay      time.Duration `name:"drain-delay" env:"LASTMILE_DRAIN_DELAY" default:"0s" help:"Time between the failing of /readyz and the stop, for a proxy to notice."`
	ShutdownTimeout time.Duration `name:"shutdown-timeout" env:"LASTMILE_SHUTDOWN_TIMEOUT" default:"20s" help:"Time that requests, pages and jobs under way get at a stop."`

	Demo  bool `name:"demo" env:"LASTMILE_DEMO" help:"Offer to slow reports down and to make them fail, to watch progress and retries."`
	Probe bool `name:"probe" help:"Ask the program that listens on --addr whether it is ready, and exit with 0 or 1."`

	Process string `name:"process" env:"LASTMILE_PROCESS" hidden:"" help:"What the first page calls this process."`
	Control string `name:"control" env:"LASTMILE_CONTROL" hidden:"" help:"Where the demonstration's parent answers, with its password."`

	Dev bool `name:"dev" env:"LASTMILE_DEV" help:"Show the text of internal errors in pages."`
}

// Check checks what one flag alone cannot tell.
func (s *settings) Check() error {
	if _, _, err := net.SplitHostPort(s.Addr); err != nil {
		return fmt.Errorf("%w: --addr=%s: must be host:port, such as 127.0.0.1:8080 or :8080", config.ErrUsage, s.Addr)
	}
	if _, err := s.publicURL(s.Addr); err != nil {
		return err
	}
	for _, o := range s.AllowedOrigins {
		if u, err := url.Parse(o); err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" {
			return fmt.Errorf("%w: --allowed-origins=%s: each must be of the form https://host", config.ErrUsage, o)
		}
	}
	if n := len(s.AdminToken); n > 0 && n < 16 {
		return fmt.Errorf("%w: --admin-token=(%d characters): must have at least 16", config.ErrUsage, n)
	}
	for _, key := range s.PublishKeys {
		if len(key) < 32 {
			return fmt.Errorf("%w: --publish-keys=(%d characters): each must have at least 32", config.ErrUsage, len(key))
		}
	}
	if _, err := control.New(s.Control); s.Control != "" && err != nil {
		return fmt.Errorf("%w: --control: %w", config.ErrUsage, err)
	}
	for _, err := range []error{
		config.Range("concurrency", s.Concurrency, 1, 1000),
		config.Range("max-upload", s.MaxUpload, config.KB, config.GB),
		config.Range("max-stored", s.MaxStored, s.MaxUpload, 1024*config.GB),
		config.Range("upload-ttl", s.UploadTTL, time.Minute, 30*24*time.Hour),
		config.Range("max-conns", s.MaxConns, 1, 10_000_000),
		config.Range("resume-ttl", s.ResumeTTL, time.Minute, 7*24*time.Hour),
		config.Range("drain-delay", s.DrainDelay, 0, 5*time.Minute),
		config.Range("shutdown-timeout", s.ShutdownTimeout, time.Second, time.Hour),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// embedded tells that the program brings its own Redis.
func (s *settings) embedded() bool { return s.URL == "" }

// publicURL is the program's address for others; addr is what it listens on.
func (s *settings) publicURL(addr string) (*url.URL, error) {
	if s.PublicURL == "" {
		return &url.URL{Scheme: "http", Host: addr}, nil
	}
	u, err := url.Parse(s.PublicURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%w: --public-url=%s: must be of the form https://host", config.ErrUsage, s.PublicURL)
	}
	return u, nil
}

// LogValue is the effective configuration without its secrets.
func (s *settings) LogValue() slog.Value {
	redis := "embedded"
	if !s.embedded() {
		redis = s.Redacted()
	}
	admin := "token of its own"
	if s.AdminToken != "" {
		admin = "token"
	}
	return slog.GroupValue(
		slog.String("redis", redis), slog.String("prefix", s.Prefix), slog.Int("partitions", s.Partitions),
		slog.Int("mailbox_len", s.MailboxLen), slog.Duration("push_max_age", s.MaxAge), slog.Int("wait_replicas", s.WaitReplicas),
		slog.Bool("worker", s.Worker || s.embedded()), slog.Int("concurrency", s.Concurrency), slog.String("max_upload", s.MaxUpload.String()),
		slog.String("max_stored", s.MaxStored.String()), slog.Duration("upload_ttl", s.UploadTTL), slog.Int("max_conns", s.MaxConns),
		slog.Duration("resume_ttl", s.ResumeTTL), slog.Duration("shutdown_timeout", s.ShutdownTimeout),
		slog.String("admin", admin), slog.Int("publish_keys", len(s.PublishKeys)), slog.Bool("demo", s.Demo), slog.Bool("dev", s.Dev), slog.Bool("tracing", s.Endpoint != ""),
	)
}
