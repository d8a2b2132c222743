package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"lastmile/internal/e2e/harness"
	"lastmile/internal/patience"
	"lastmile/internal/redistest"
)

// cluster is what a deployment has: Redis, web nodes behind a proxy without
// stickiness, a worker. All are real processes of the reference programs.
type cluster struct {
	t      *testing.T
	redis  *redistest.Server
	proxy  *harness.Proxy
	webs   []*webNode
	worker *harness.Process
}

type webNode struct {
	*harness.Process
	addr string
}

// startCluster starts two web nodes and a worker.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, redis: redistest.Start(t, redistest.Config{AOF: "always"}), proxy: harness.StartProxy(t)}
	for range 2 {
		n := &webNode{addr: harness.FreeAddr(t)}
		c.webs = append(c.webs, n)
		c.startWeb(n)
	}
	c.startWorker()
	for _, n := range c.webs {
		c.waitReady(n)
	}
	c.proxy.SetTargets(c.webs[0].addr, c.webs[1].addr)
	return c
}

func (c *cluster) startWeb(n *webNode) {
	c.t.Helper()
	n.Process = harness.Start(c.t, harness.Spec{
		Name: "web", Path: binaries.Web(c.t), Args: []string{"--demo"},
		Env: []string{"LASTMILE_ADDR=" + n.addr, c.redisURL()},
	})
}

func (c *cluster) startWorker() {
	c.t.Helper()
	c.worker = harness.Start(c.t, harness.Spec{Name: "worker", Path: binaries.Worker(c.t), Args: []string{"run"}, Env: []string{c.redisURL()}})
}

func (c *cluster) redisURL() string { return "REDIS_URL=redis://" + c.redis.Addr() }

// waitReady waits until the node may be put into rotation.
func (c *cluster) waitReady(n *webNode) {
	c.t.Helper()
	patience.UntilSaid(c.t, "readiness of "+n.String(), func() (bool, string) {
		if !n.Running() {
			c.t.Fatalf("%v ended:\n%s", n, n.Output())
		}
		status, body, err := get(c.t.Context(), http.DefaultClient, "http://"+n.addr+"/readyz")
		return status == http.StatusOK, fmt.Sprint(status, body, err)
	})
}

// job is what the worker program's command line tells of one.
type job struct {
	ID      string `json:"id"`
	State   string `json:"state"`
	Attempt int    `json:"attempt"`
	Gen     int    `json:"gen"`
}

// onlyJob returns the job that is open, and fails the test when there is not
// exactly one.
func (c *cluster) onlyJob() job {
	c.t.Helper()
	var open []job
	if c.ask(&open, "list"); len(open) != 1 {
		c.t.Fatalf("%d jobs are open, want 1", len(open))
	}
	return open[0]
}

// ask runs "worker jobs" with a command and reads its answer.
func (c *cluster) ask(answer any, command ...string) {
	c.t.Helper()
	args := append(append([]string{"jobs"}, command...), "--json")
	out := harness.Run(c.t, harness.Spec{Name: "worker", Path: binaries.Worker(c.t), Args: args, Env: []string{c.redisURL()}})
	if err := json.Unmarshal(out, answer); err != nil {
		c.t.Fatalf("worker %v: %v:\n%s", args, err, out)
	}
}

// get fetches a page.
func get(ctx context.Context, client *http.Client, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Close = true // the next request shall meet another node
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	var b strings.Builder
	_, err = io.Copy(&b, res.Body)
	return res.StatusCode, b.String(), err
}
