package config

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Redis are the settings of the connection to Redis.
type Redis struct {
	URL    string `name:"redis-url" env:"REDIS_URL" placeholder:"URL" help:"Redis to use: redis://, rediss:// (TLS), unix://, redis+cluster:// (more nodes as ?addr=) or redis+sentinel:// (?master_name=)."`
	Prefix string `name:"redis-prefix" env:"LASTMILE_REDIS_PREFIX" default:"lm" placeholder:"NAME" help:"First part of every key except the job queues' own."`
}

// clusterReload is how soon a replica that took over is found. By itself a
// client asks once a minute, and until then only dials the dead master.
const clusterReload = 5 * time.Second

var prefixForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,32}$`)

// Check checks the URL's form without connecting.
func (r *Redis) Check() error {
	if !prefixForm.MatchString(r.Prefix) {
		return fmt.Errorf("%w: --redis-prefix=%s: must be 1 to 32 letters, digits, dots, dashes and underscores", ErrUsage, r.Prefix)
	}
	if r.URL == "" {
		return nil
	}
	c, err := r.Client()
	if err != nil {
		return err
	}
	return c.Close()
}

// Client returns a new client for the URL. It connects at its first command.
func (r *Redis) Client() (redis.UniversalClient, error) {
	scheme, rest, ok := strings.Cut(r.URL, "://")
	if !ok {
		return nil, r.bad("it has no scheme such as redis://")
	}
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch scheme {
	case "redis", "rediss", "unix":
		o, err := redis.ParseURL(r.URL)
		if err != nil {
			return nil, r.bad(err.Error())
		}
		o.MaintNotificationsConfig = quiet
		return redis.NewClient(o), nil
	case "redis+cluster", "rediss+cluster":
		o, err := redis.ParseClusterURL(strings.TrimSuffix(scheme, "+cluster") + "://" + rest)
		if err != nil {
			return nil, r.bad(err.Error())
		}
		o.MaintNotificationsConfig = quiet
		o.ClusterStateReloadInterval = clusterReload
		return redis.NewClusterClient(o), nil
	case "redis+sentinel", "rediss+sentinel":
		o, err := redis.ParseFailoverURL(strings.TrimSuffix(scheme, "+sentinel") + "://" + rest)
		if err != nil {
			return nil, r.bad(err.Error())
		}
		return redis.NewFailoverClient(o), nil
	}
	return nil, r.bad("its scheme must be redis, rediss, unix, redis+cluster or redis+sentinel")
}

func (r *Redis) bad(why string) error {
	return fmt.Errorf("%w: --redis-url=%s: %s", ErrUsage, r.Redacted(), strings.ReplaceAll(why, r.URL, r.Redacted()))
}

// Redacted returns the URL without its password, for logs.
func (r *Redis) Redacted() string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return "(not a URL)"
	}
	q := u.Query()
	for key := range q {
		if strings.Contains(key, "password") {
			q.Set(key, "xxxxx")
		}
	}
	u.RawQuery = q.Encode()
	return u.Redacted()
}
