package pushhttp_test

import (
	"cmp"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/push/mempush"
	"lastmile/push/pushhttp"
)

func TestEventsFollowOneAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{})
		s.push(alice, "Did", 1, 2)
		s.push(bob, "Did", 100)
		st := s.listen(alice, "events", nil)
		synctest.Wait()
		if got := st.numbers(); got != "1 2" {
			t.Errorf("what waited: %s", got)
		}
		s.push(alice, "Did", 3)
		synctest.Wait()
		if got := st.numbers(); got != "1 2 3" {
			t.Errorf("with what came: %s", got)
		}
		first := st.all()[0]
		if first.retry == "" || first.comment == "" || st.header.Get("Content-Type") != "text/event-stream" ||
			st.header.Get("X-Accel-Buffering") != "no" || st.header.Get("Transfer-Encoding") != "" {
			t.Errorf("greeting %+v, header %v", first, st.header)
		}
		id := st.last()
		st.close()
		s.push(alice, "Did", 4)
		for _, header := range []map[string]string{{"Last-Event-ID": id}, {"Last-Event-ID": id}} {
			again := s.listen(alice, "events?after=outdated", header)
			synctest.Wait()
			if got := again.numbers(); got != "4" {
				t.Errorf("behind %s: %s", id, got)
			}
			again.close()
		}
		after := s.listen(alice, "events?after="+id, nil)
		synctest.Wait()
		if got := after.numbers(); got != "4" {
			t.Errorf("after=%s: %s", id, got)
		}
	})
}

// TestListeningAcknowledges: what was written AckAfter ago to a connection that
// lives on leaves the mailbox, and nothing before that, nor at the end of a
// connection, nor for a reader that confirms by itself.
func TestListeningAcknowledges(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, query, pending string
		leave                bool
	}{
		{name: "stays", pending: ""},
		{name: "leaves", leave: true, pending: "1 2"},
		{name: "confirms", query: "?ack=post", pending: "1 2"},
		{name: "wants other actions", query: "?actions=Other", pending: "1 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := inMemory(t, mempush.Config{}, pushhttp.Config{})
				st := s.listen(alice, "events"+tt.query, nil)
				s.push(alice, "Did", 1, 2)
				time.Sleep(9 * time.Second)
				if got := s.pending(alice); got != "1 2" {
					t.Errorf("pending before AckAfter: %q", got)
				}
				if tt.leave {
					st.close()
				}
				time.Sleep(20 * time.Second)
				if got := s.pending(alice); got != tt.pending {
					t.Errorf("pending after AckAfter: %q, want %q", got, tt.pending)
				}
				st.close()
				if got := s.poll(alice, cmp.Or(tt.query, "?")+"&wait=0&after="+st.last()).numbers(); got != "" {
					t.Errorf("once more: %q", got)
				}
			})
		})
	}
}

// TestReconnectingConfirms: a reader names the last that it has seen.
func TestReconnectingConfirms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{})
		st := s.listen(alice, "events", nil)
		s.push(alice, "Did", 1, 2)
		synctest.Wait()
		id := st.last()
		s.push(alice, "Did", 3)
		st.close()
		st = s.listen(alice, "events", map[string]string{"Last-Event-ID": id})
		synctest.Wait()
		if got := s.pending(alice) + " / " + st.numbers(); got != "3 / 3" {
			t.Errorf("pending / seen: %s", got)
		}
	})
}

// TestReadersStandAtTheirOwnPlaces: one confirms, the others live on the resume
// window, and who comes too late begins anew and is told so.
func TestReadersStandAtTheirOwnPlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{})
		behind := s.poll(alice, "?wait=0").Next
		st := s.listen(alice, "events", nil)
		s.push(alice, "Did", 1, 2, 3)
		time.Sleep(11 * time.Second)
		if got := s.pending(alice); got != "" {
			t.Errorf("pending: %s", got)
		}
		if got := s.poll(alice, "?after="+behind).numbers(); got != "1 2 3" {
			t.Errorf("the other reader: %s", got)
		}
		time.Sleep(3 * time.Minute)
		s.push(alice, "Did", 4)
		time.Sleep(11 * time.Second) // confirming trims
		s.push(alice, "Did", 5)
		if got := s.poll(alice, "?after="+behind).numbers(); got != "reset 5" {
			t.Errorf("the reader that came too late: %s", got)
		}
		late := s.listen(alice, "events", map[string]string{"Last-Event-ID": behind})
		synctest.Wait()
		if got := late.numbers(); got != "reset 5" {
			t.Errorf("the stream that came too late: %s", got)
		}
		synctest.Wait()
		if got := st.numbers(); got != "1 2 3 4 5" {
			t.Errorf("the first reader: %s", got)
		}
	})
}

// TestFilterParksTheRest: what a filter leaves out waits for who wants it.
func TestFilterParksTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{RequireActions: true})
		if a := s.answer(call{method: http.MethodGet, path: "events", session: alice}); a.status != http.StatusBadRequest || a.kind() != "actions" {
			t.Errorf("without actions: %d %s", a.status, a.body)
		}
		toasts := s.listen(alice, "events?actions=Toast,Also", nil)
		s.push(alice, "Toast", 1)
		s.push(alice, "Report", 2)
		s.push(alice, "Toast", 3)
		s.push(alice, "Report", 4)
		time.Sleep(30 * time.Second)
		if got := toasts.numbers() + " / " + s.pending(alice); got != "1 3 / 2 4" {
			t.Errorf("seen / pending: %s", got)
		}
		if id, blocks := toasts.last(), toasts.all(); blocks[len(blocks)-1].data != "" || id == "" {
			t.Errorf("the reader was not told of its place behind 4: %+v", blocks)
		}
		reports := s.listen(alice, "events?actions=Report", nil)
		synctest.Wait()
		if got := reports.numbers(); got != "2 4" {
			t.Errorf("parked: %s", got)
		}
		s.push(alice, "Report", 5)
		time.Sleep(30 * time.Second)
		if got := reports.numbers() + " / " + s.pending(alice); got != "2 4 5 / " {
			t.Errorf("seen / pending: %s", got)
		}
	})
}

// TestParkedPushesComeOnceWhereverTheReaderIsCut: they come before the others,
// with numbers below the place where the mailbox is read from.
func TestParkedPushesComeOnceWhereverTheReaderIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{})
		other := s.listen(alice, "events?actions=Toast", nil)
		s.push(alice, "Report", 1, 2, 3)
		s.push(alice, "Toast", 4)
		time.Sleep(5 * time.Minute)
		s.push(alice, "Toast", 5)
		time.Sleep(time.Minute)
		other.close()
		s.push(alice, "Report", 6, 7)
		var seen []string
		for after, n := "", 0; n < 5; n++ {
			p := s.poll(alice, "?limit=1&actions=Report&after="+after)
			seen = append(seen, p.numbers())
			after = p.Next
		}
		if got := strings.Join(seen, ","); got != "1,2,3,6,7" {
			t.Errorf("one at a time: %s", got)
		}
	})
}

// TestDrainSendsReadersAway: they are told to come back, and Run waits for them.
func TestDrainSendsReadersAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{Render: fragment})
		streams := []*stream{s.listen(alice, "events", nil), s.listen(bob, "events?as=datastar", nil)}
		answered := make(chan string, 1)
		go func() { answered <- s.poll(alice, "").numbers() }()
		synctest.Wait()
		s.stop()
		for _, st := range streams {
			<-st.ended
			blocks := st.all()
			if last := blocks[len(blocks)-1]; last.event != "stopping" || last.retry == "" {
				t.Errorf("last event %+v", last)
			}
		}
		if got := <-answered; got != "" {
			t.Errorf("the poll's answer: %s", got)
		}
		late := s.listen(alice, "events", nil)
		<-late.ended
		if got := late.numbers(); got != "stopping" {
			t.Errorf("who comes late: %s", got)
		}
	})
}

// TestBounds: for a reader too many there is no status, since that would end it
// for good.
func TestBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{MaxReaders: 3, MaxSessionReaders: 2})
		one, two := s.listen(alice, "events", nil), s.listen(alice, "events", nil)
		third := s.listen(alice, "events", nil)
		<-third.ended
		if third.status != http.StatusOK || third.numbers() != "stopping" {
			t.Errorf("third of a session: %d %s", third.status, third.numbers())
		}
		if a := s.answer(call{method: http.MethodGet, path: "events", session: alice, header: map[string]string{"Accept": "application/json"}}); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("third of a session, polling: %d %v", a.status, a.header)
		}
		other := s.listen(bob, "events", nil)
		synctest.Wait()
		one.close()
		two.close()
		synctest.Wait()
		again := s.listen(alice, "events", nil)
		s.push(alice, "Did", 1)
		s.push(bob, "Did", 2)
		synctest.Wait()
		if got := again.numbers() + " / " + other.numbers(); got != "1 / 2" {
			t.Errorf("after two have left: %s", got)
		}
	})
}

// TestHeartbeats: proxies cut what is silent for 50 seconds.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{})
		st := s.listen(alice, "events", nil)
		synctest.Wait()
		before := len(st.all())
		time.Sleep(10 * time.Minute)
		if n := len(st.all()) - before; n < 25 || n > 38 {
			t.Errorf("%d heartbeats in 10 minutes", n)
		}
	})
}
