// Package redisconn makes clients of Redis from a URL and files: whatever the
// topology, with errors that say why there is no connection and hold no secret.
// It knows nothing of what is stored. The package at the root and the programs
// use it.
package redisconn

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// ErrSetting marks a setting that cannot be used.
var ErrSetting = errors.New("bad setting")

// Settings are those of the connection to Redis. Their tags are the programs'
// flags.
type Settings struct {
	URL    string `name:"redis-url" env:"REDIS_URL" placeholder:"URL" help:"Redis to use: redis://, rediss:// (TLS), unix://, redis+cluster:// (more nodes as ?addr=) or redis+sentinel:// (?master_name=)."`
	Prefix string `name:"redis-prefix" env:"LASTMILE_REDIS_PREFIX" default:"lm" placeholder:"NAME" help:"First part of every key, channel and queue: it separates applications that share a Redis."`

	Username     string `name:"redis-username" env:"LASTMILE_REDIS_USERNAME" placeholder:"NAME" help:"User of Redis, where the URL names none."`
	PasswordFile string `name:"redis-password-file" env:"LASTMILE_REDIS_PASSWORD_FILE" placeholder:"FILE" help:"File with Redis's password. It is read for each new connection, so a password that changes needs no restart."`
	CA           string `name:"redis-ca" env:"LASTMILE_REDIS_CA" placeholder:"FILE" help:"Certificates (PEM) that sign Redis's own, instead of the system's. For rediss://."`
	Cert         string `name:"redis-cert" env:"LASTMILE_REDIS_CERT" placeholder:"FILE" help:"Certificate (PEM) that this program shows to Redis. It is read for each new connection."`
	Key          string `name:"redis-key" env:"LASTMILE_REDIS_KEY" placeholder:"FILE" help:"Private key (PEM) of --redis-cert."`
	ServerName   string `name:"redis-server-name" env:"LASTMILE_REDIS_SERVER_NAME" placeholder:"HOST" help:"Name that Redis's certificate must have, where it is not the URL's."`
}

// clusterReload is how soon a replica that took over is found. By itself a
// client asks once a minute, and until then only dials the dead master.
const clusterReload = 5 * time.Second

var prefixForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,32}$`)

// Check checks the URL's form, and reads the files, without connecting.
func (r *Settings) Check() error {
	if !prefixForm.MatchString(r.Prefix) {
		return fmt.Errorf("%w: --redis-prefix=%s: must be 1 to 32 letters, digits, dots, dashes and underscores", ErrSetting, r.Prefix)
	}
	if r.URL == "" {
		for flag, value := range map[string]string{
			"redis-username": r.Username, "redis-password-file": r.PasswordFile, "redis-ca": r.CA, "redis-cert": r.Cert,
			"redis-key": r.Key, "redis-server-name": r.ServerName,
		} {
			if value != "" {
				return fmt.Errorf("%w: --%s: is of no use without --redis-url", ErrSetting, flag)
			}
		}
		return nil
	}
	c, err := r.Client()
	if err != nil {
		return err
	}
	return c.Close()
}

// Client returns a new client for the URL. It connects at its first command.
// What keeps it from connecting is in the errors of its commands, and no part
// of the URL that may be secret is in any error.
func (r *Settings) Client() (client redis.UniversalClient, err error) {
	t, err := parseURL(r.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: --redis-url (REDIS_URL): %w", ErrSetting, err)
	}
	credentials, err := r.credentials(t)
	if err != nil {
		return nil, err
	}
	dial, err := r.dialer(t)
	if err != nil {
		return nil, err
	}
	defer func() { // go-redis says so of some values, pool_size=9999999999 for one
		if recover() != nil {
			client, err = nil, fmt.Errorf("%w: --redis-url (REDIS_URL): %w", ErrSetting, errors.New("one of its options is out of range"))
		}
	}()
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch {
	case t.cluster != nil:
		o := t.cluster
		o.Dialer, o.CredentialsProviderContext = dial.dial, credentials
		o.MaintNotificationsConfig = quiet
		o.ClusterStateReloadInterval = clusterReload
		client = redis.NewClusterClient(o)
	case t.sentinel != nil:
		o := t.sentinel
		o.Dialer, o.CredentialsProviderContext = dial.dial, credentials
		client = redis.NewFailoverClient(o)
	default:
		o := t.single
		o.Dialer, o.CredentialsProviderContext = dial.dial, credentials
		o.MaintNotificationsConfig = quiet
		client = redis.NewClient(o)
	}
	client.AddHook(dial)
	return client, nil
}

// Redacted returns what of the URL may be logged: where Redis is, without users,
// passwords and options.
func (r *Settings) Redacted() string {
	t, err := parseURL(r.URL)
	if err != nil {
		return "(not usable)"
	}
	return t.shown
}
