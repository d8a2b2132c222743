package redisconn

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// target is what a Redis URL says. One of the three is set.
type target struct {
	single   *redis.Options
	cluster  *redis.ClusterOptions
	sentinel *redis.FailoverOptions

	host string // without a port
	tls  bool
	// user and password tell whether the URL has them.
	user, password bool
	shown          string // for logs
}

// Why a URL is refused. A URL that is wrong may have its password anywhere: in
// what reads as host, port, path, option or fragment. So none of these says a
// word of the URL.
var (
	errNoScheme = errors.New("it has no scheme such as redis://")
	errScheme   = errors.New("its scheme must be redis, rediss, unix, redis+cluster, rediss+cluster, redis+sentinel or rediss+sentinel")
	errForm     = errors.New("it is not a URL: a port must be a number, and in a password write %2F for /, %3F for ?, %23 for #, %25 for %, %5B and %5D for brackets, %20 for a space")
	errPlace    = errors.New("it has an @ or a # behind the host: in a password write %2F for /, %3F for ?, %23 for #, in an option %40 for @")
	errHost     = errors.New("its host must be a name or an IP address (IPv6 in brackets), and its port 1 to 65535")
	errSeveral  = errors.New("it names several hosts: write the first one, and the others as ?addr=host:port, with redis+cluster:// or redis+sentinel://")
	errUnixHost = errors.New("unix:// takes no host: write unix:///path/to/redis.sock, and a password with its / as %2F")
	errUnixPath = errors.New("unix:// needs the path of a socket, as in unix:///run/redis.sock")
	errDatabase = errors.New("its path must be a database number, as in /0")
	errNoDB     = errors.New("a cluster has one database: the URL must have no path")
	errAddr     = errors.New("its option addr must be host:port")
	errOption   = errors.New("it has an unknown option, or one that is not usable")
	errMaster   = errors.New("redis+sentinel:// needs ?master_name=")
	errRoute    = errors.New("route_by_latency, route_randomly, read_only and replica_only read from replicas, which may lack the latest pushes")
)

// optionError is about an option whose name is known, and so no secret.
type optionError struct{ name string }

func (e optionError) Error() string {
	return "its option " + e.name + " has a value that is not usable"
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`)

// Open returns a new client for a URL, as [Settings.Client] does. Its error says
// what is wrong with the URL, and no more.
func Open(raw string) (redis.UniversalClient, error) {
	if _, err := parseURL(raw); err != nil {
		return nil, err
	}
	return (&Settings{URL: raw}).Client()
}

// parseURL reads a Redis URL. Its errors are those above.
func parseURL(raw string) (*target, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return nil, errNoScheme
	}
	scheme = strings.ToLower(scheme)
	base, kind, _ := strings.Cut(scheme, "+")
	if !slices.Contains([]string{"redis", "rediss", "unix", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel"}, scheme) {
		return nil, errScheme
	}
	u, err := url.Parse(base + "://" + rest)
	if err != nil || u.Opaque != "" {
		return nil, errForm
	}
	if strings.ContainsAny(u.Path+u.RawPath+u.RawQuery, "@#") || strings.Contains(rest, "#") {
		return nil, errPlace
	}
	if _, err := url.ParseQuery(u.RawQuery); err != nil {
		return nil, errForm
	}
	t := &target{host: u.Hostname(), tls: base == "rediss", user: u.User.Username() != "", shown: scheme + "://"}
	_, t.password = u.User.Password()
	if base == "unix" {
		return t, t.unix(u)
	}
	if err := checkHost(u); err != nil {
		return nil, err
	}
	switch kind {
	case "cluster":
		err = t.ofCluster(u)
	case "sentinel":
		err = t.ofSentinel(u)
	default:
		err = t.ofSingle(u)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// checkHost checks host and port.
func checkHost(u *url.URL) error {
	host, port := u.Hostname(), u.Port()
	if strings.Contains(u.Host, ",") {
		return errSeveral
	}
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return errHost
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return errHost
	}
	if host == "" && u.Host == "" { // localhost, as redis:///0
		return nil
	}
	if _, err := netip.ParseAddr(host); err != nil && !hostName.MatchString(host) {
		return errHost
	}
	return nil
}

func (t *target) unix(u *url.URL) error {
	if u.Host != "" {
		return errUnixHost
	}
	if strings.Trim(u.Path, "/ ") == "" {
		return errUnixPath
	}
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return reason(err, u)
	}
	t.single, t.shown = o, t.shown+o.Addr
	return nil
}

func (t *target) ofSingle(u *url.URL) error {
	if err := checkDatabase(u); err != nil {
		return err
	}
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return reason(err, u)
	}
	t.single, t.shown = o, t.shown+o.Addr+"/"+strconv.Itoa(o.DB)
	return nil
}

func (t *target) ofCluster(u *url.URL) error {
	if strings.Trim(u.Path, "/") != "" {
		return errNoDB
	}
	if err := checkAddrs(u); err != nil {
		return err
	}
	o, err := redis.ParseClusterURL(u.String())
	if err != nil {
		return reason(err, u)
	}
	if o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
		return errRoute
	}
	t.cluster, t.shown = o, t.shown+strings.Join(o.Addrs, ",")
	return nil
}

func (t *target) ofSentinel(u *url.URL) error {
	if err := checkDatabase(u); err != nil {
		return err
	}
	if err := checkAddrs(u); err != nil {
		return err
	}
	o, err := redis.ParseFailoverURL(u.String())
	if err != nil {
		return reason(err, u)
	}
	if o.RouteByLatency || o.RouteRandomly || o.ReplicaOnly {
		return errRoute
	}
	if o.MasterName == "" {
		return errMaster
	}
	t.user, t.password = o.Username != "", o.Password != "" // the URL's own are for Sentinel
	t.sentinel, t.shown = o, t.shown+strings.Join(o.SentinelAddrs, ",")+"/"+strconv.Itoa(o.DB)
	return nil
}

func checkDatabase(u *url.URL) error {
	if db := strings.Trim(u.Path, "/"); db != "" {
		if _, err := strconv.ParseUint(db, 10, 16); err != nil {
			return errDatabase
		}
	}
	return nil
}

// checkAddrs checks the further servers.
func checkAddrs(u *url.URL) error {
	for _, addr := range u.Query()["addr"] {
		host, port, err := net.SplitHostPort(addr)
		if err != nil || host == "" || port == "" || checkHost(&url.URL{Host: net.JoinHostPort(host, port)}) != nil {
			return errAddr
		}
	}
	return nil
}

// optionValues are the options whose values go-redis checks.
func optionValues() []string {
	return []string{
		"dial_timeout", "read_timeout", "write_timeout", "pool_size", "pool_timeout", "pool_fifo", "max_retries", "min_retry_backoff",
		"max_retry_backoff", "max_redirects", "min_idle_conns", "max_idle_conns", "max_active_conns", "conn_max_idle_time", "conn_max_lifetime",
		"idle_timeout", "max_conn_age", "protocol", "skip_verify", "dialer_retries", "dialer_retry_timeout", "max_concurrent_dials",
	}
}

// reason tells what go-redis found, without its words: they repeat what it did
// not understand.
func reason(err error, u *url.URL) error {
	for name := range u.Query() {
		if slices.Contains(optionValues(), name) && strings.Contains(err.Error(), name) {
			return optionError{name}
		}
	}
	return errOption
}
