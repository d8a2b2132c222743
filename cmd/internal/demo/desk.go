package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"lastmile/cmd/internal/control"
	"lastmile/internal/service"
)

// desk answers the web nodes, on a port and with a password that only they know.
type desk struct {
	log      *slog.Logger
	listener net.Listener
	password string
	children []*child // fixed once it serves

	mu   sync.Mutex
	seen map[string]error // what came of a request, by its ID
	ids  []string         // of seen, oldest first
}

// maxSeen bounds what is remembered of requests.
const maxSeen = 1000

func newDesk(ctx context.Context, log *slog.Logger) (*desk, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the web nodes: %w", err)
	}
	return &desk{log: log, listener: l, password: rand.Text(), seen: map[string]error{}}, nil
}

func (d *desk) url() string {
	return (&url.URL{Scheme: "http", User: url.UserPassword("", d.password), Host: d.listener.Addr().String()}).String()
}

func (d *desk) add(c *child) { d.children = append(d.children, c) }

// store returns what the others stand on, if it is a process.
func (d *desk) store() []service.Task { return d.tasks(func(c *child) bool { return !c.pausable }) }

func (d *desk) others() []service.Task { return d.tasks(func(c *child) bool { return c.pausable }) }

func (d *desk) tasks(want func(*child) bool) (tasks []service.Task) {
	for _, c := range d.children {
		if want(c) {
			tasks = append(tasks, service.Task{Name: c.name, Run: c.run})
		}
	}
	return tasks
}

// serve answers until ctx ends.
func (d *desk) serve(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /processes", func(w http.ResponseWriter, _ *http.Request) {
		all := make([]control.Process, len(d.children))
		for i, c := range d.children {
			all[i] = c.look()
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(all) // it has died: nobody to tell
	})
	mux.HandleFunc("POST /processes", func(w http.ResponseWriter, r *http.Request) {
		var what control.Request
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&what); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := d.once(what); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, given, _ := r.BasicAuth(); subtle.ConstantTimeCompare([]byte(given), []byte(d.password)) != 1 {
				http.Error(w, "this needs a password", http.StatusUnauthorized)
				return
			}
			mux.ServeHTTP(w, r)
		}),
	}
	return service.Serve(ctx, server, func() error { return server.Serve(d.listener) }, time.Second)
}

// once obeys a request. One that comes again is told what came of it: the page asks
// again when the process that served it has died of its own click.
func (d *desk) once(r control.Request) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err, ok := d.seen[r.ID]; ok && r.ID != "" {
		return err
	}
	err := d.do(r)
	d.seen[r.ID] = err
	if d.ids = append(d.ids, r.ID); len(d.ids) > maxSeen {
		delete(d.seen, d.ids[0])
		d.ids = d.ids[1:]
	}
	return err
}

func (d *desk) do(r control.Request) error {
	for _, c := range d.children {
		if c.name == r.Process {
			return c.do(r.Do)
		}
	}
	return fmt.Errorf("there is no process %q", r.Process)
}
