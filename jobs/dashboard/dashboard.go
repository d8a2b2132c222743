// Package dashboard serves Asynq's web console (asynqmon) in a form that can be
// exposed: behind authentication, read-only by role, safe against cross-origin
// requests, under a strict content security policy, with payloads redacted, and
// without anything from other hosts.
//
// What an operator does to a job goes through package jobs, so that it ends
// with the right event: cancelling and deleting an open job is Client.Cancel,
// running a failed one again is Client.Retry.
package dashboard

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"

	"lastmile/jobs"
)

// Role is what a request may do.
type Role int

// The roles.
const (
	// Denied may do nothing.
	Denied Role = iota
	// Viewer may look.
	Viewer
	// Operator may also run, cancel, archive and delete.
	Operator
)

// Config says how the console is served.
type Config struct {
	// RootPath is the URL path it is mounted at, without a slash at the end.
	// Defaults to "/admin/asynq".
	RootPath string
	// Authorize tells the role of a request. It is needed unless LoopbackDev
	// is set.
	Authorize func(*http.Request) Role
	// Denied answers requests that Authorize denies, for example by asking for
	// a password. Defaults to a plain 403.
	Denied http.Handler
	// LoopbackDev lets requests from this machine, addressed to it by a
	// loopback name and not forwarded by a proxy, do everything when Authorize
	// is nil. For development only.
	LoopbackDev bool
	// Redact returns what is shown of a payload or result. Defaults to the
	// JSON with the values of fields masked whose names sound secret, cut at
	// 4 KiB.
	Redact func(kind string, payload []byte) string
}

// Handler serves the console under RootPath.
type Handler struct {
	cfg      Config
	client   *jobs.Client
	inspect  *asynq.Inspector
	full     http.Handler
	readOnly http.Handler
	csrf     *http.CrossOriginProtection
}

// New returns the console, to be mounted at cfg.RootPath + "/". It refuses to
// be built without Authorize unless LoopbackDev is set. rdb has to be a
// *redis.Client or *redis.ClusterClient and stays the caller's.
func New(rdb redis.UniversalClient, c *jobs.Client, cfg Config) (*Handler, error) {
	if cfg.Authorize == nil && !cfg.LoopbackDev {
		return nil, errors.New("dashboard: New: needs Config.Authorize (or LoopbackDev, for development)")
	}
	switch rdb.(type) {
	case *redis.Client, *redis.ClusterClient:
	default:
		return nil, fmt.Errorf("dashboard: New: needs a *redis.Client or *redis.ClusterClient, not %T", rdb)
	}
	if cfg.RootPath == "" {
		cfg.RootPath = "/admin/asynq"
	}
	if !strings.HasPrefix(cfg.RootPath, "/") || strings.HasSuffix(cfg.RootPath, "/") {
		return nil, fmt.Errorf("dashboard: New: RootPath %q must begin with a slash and not end with one", cfg.RootPath)
	}
	if cfg.Redact == nil {
		cfg.Redact = redact
	}
	if cfg.Denied == nil {
		cfg.Denied = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "forbidden", http.StatusForbidden) })
	}
	h := &Handler{cfg: cfg, client: c, inspect: asynq.NewInspectorFromRedisClient(rdb), csrf: http.NewCrossOriginProtection()}
	console := func(readOnly bool) http.Handler {
		return asynqmon.New(asynqmon.Options{
			RootPath: cfg.RootPath, RedisConnOpt: shared{rdb}, ReadOnly: readOnly,
			PayloadFormatter: asynqmon.PayloadFormatterFunc(cfg.Redact),
			ResultFormatter:  asynqmon.ResultFormatterFunc(cfg.Redact),
		})
	}
	h.full, h.readOnly = console(false), console(true)
	return h, nil
}

// shared hands the caller's client to asynqmon, which is never closed.
type shared struct{ rdb redis.UniversalClient }

func (s shared) MakeRedisClient() any { return s.rdb }

// ServeHTTP serves the console.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	role := h.role(r)
	if role == Denied {
		h.cfg.Denied.ServeHTTP(w, r)
		return
	}
	if err := h.csrf.Check(r); err != nil {
		http.Error(w, "cross-origin request refused", http.StatusForbidden)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, h.cfg.RootPath)
	if !ok || path != "" && path[0] != '/' || strings.HasSuffix(path, ".map") {
		http.NotFound(w, r)
		return
	}
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cache-Control", "no-store")
	if rest, ok := strings.CutPrefix(path, "/api/"); ok {
		head.Set("Content-Type", "application/json")
		head.Set("Content-Security-Policy", "default-src 'none'")
		if role == Operator && h.operate(w, r, rest) {
			return
		}
		h.serveAPI(w, r, role)
		return
	}
	h.serveAsset(w, r, role, path)
}

// serveAPI serves what the console knows. What it does not, it answers with its
// page, as if all had gone well.
func (h *Handler) serveAPI(w http.ResponseWriter, r *http.Request, role Role) {
	rec := &recorder{head: make(http.Header), code: http.StatusOK}
	h.console(role).ServeHTTP(rec, r)
	body := rec.body.Bytes()
	if isPage(body) {
		http.NotFound(w, r)
		return
	}
	body = h.attempts(r.Context(), body)
	maps.Copy(w.Header(), rec.head)
	w.Header().Del("Content-Length") // of what the console wrote
	w.WriteHeader(rec.code)
	_, _ = w.Write(body) // the client is gone if this fails
}

func (h *Handler) console(role Role) http.Handler {
	if role == Operator {
		return h.full
	}
	return h.readOnly
}

func (h *Handler) role(r *http.Request) Role {
	if h.cfg.Authorize != nil {
		return h.cfg.Authorize(r)
	}
	if !h.cfg.LoopbackDev || !loopback(r) {
		return Denied
	}
	return Operator
}

// loopback reports whether a request comes from this machine and means it: a
// page elsewhere whose name resolves to 127.0.0.1 has another Host.
func loopback(r *http.Request) bool {
	if r.Header.Get("Forwarded") != "" || r.Header.Get("X-Forwarded-For") != "" {
		return false
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}
