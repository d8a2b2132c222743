package live_test

import (
	"bufio"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"testing"

	"lastmile/live"
	"lastmile/live/internal/engine/enginetest"
)

// board is a table that all connections of a topic show.
type board struct{}

func (board) Mount(s enginetest.Table, ctx *live.Context) (enginetest.Table, error) {
	return s, ctx.Subscribe("board")
}

func (board) Set(s enginetest.Table, ctx *live.Context) (enginetest.Table, error) {
	s.Rows = slices.Clone(s.Rows)
	s.Rows[500].Count = ctx.GetInt("count")
	return s, nil
}

// audience is a node with connections that show the board.
type audience struct {
	node  *node
	conns []*rawConn
	turn  int
	bytes uint64 // heap of a connection
}

func newAudience(b *testing.B, cfg live.ViewConfig) *audience {
	b.Helper()
	const conns = 100
	a := &audience{node: startNode(b, memStore(b), live.Config{Topics: func(live.Identity, string) error { return nil }})}
	tmpl := template.Must(template.New("page").Parse(enginetest.TablePage))
	v, err := live.NewView(a.node.hub, "page", board{}, enginetest.NewTable(1000), tmpl, cfg)
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(v)
	b.Cleanup(server.Close)
	before := heap()
	for range conns {
		a.conns = append(a.conns, dialRaw(b, server))
	}
	http.DefaultClient.CloseIdleConnections()
	a.publish(b)
	a.bytes = (heap() - before) / conns
	return a
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// publish changes one row of all pages, to what it never was, and reads every
// connection's frame.
func (a *audience) publish(b *testing.B) {
	b.Helper()
	a.turn++
	if err := a.node.hub.Publish(b.Context(), "board", "Set", map[string]any{"count": a.turn}); err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, c := range a.conns {
		wg.Go(func() {
			readFrame(b, bufio.NewReader(c))
			c.send(b, fmt.Appendf(nil, `{"k":%d}`, a.turn+1))
		})
	}
	wg.Wait()
}

// BenchmarkTopic publishes to 100 connections that show the same table of 1,000
// rows, with shared renders and without.
func BenchmarkTopic(b *testing.B) {
	for _, shared := range []bool{true, false} {
		b.Run(fmt.Sprintf("shared=%v", shared), func(b *testing.B) {
			a := newAudience(b, live.ViewConfig{Shared: shared})
			b.ReportAllocs()
			for b.Loop() {
				a.publish(b)
			}
			b.ReportMetric(float64(a.bytes), "B/conn")
		})
	}
}
