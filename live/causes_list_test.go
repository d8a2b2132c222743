package live_test

import (
	"strings"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
)

// effect is what an action is to do, and the name of the action that does it.
type effect struct {
	action string
	run    func(*live.Context) error
}

// deedCauses lists what has an action run on a connected page.
func deedCauses() map[string]func(d *deedTest, e effect) *livetest.Page {
	return map[string]func(d *deedTest, e effect) *livetest.Page{
		"click": func(d *deedTest, e effect) *livetest.Page {
			p := d.open()
			p.Click(e.action, nil)
			return p
		},
		"click after a lost race": func(d *deedTest, e effect) *livetest.Page {
			p := d.open()
			d.rival.set(func() { d.rival.wins = 1 })
			p.Click(e.action, nil)
			return p
		},
		"click whose answer was lost": func(d *deedTest, e effect) *livetest.Page {
			p := d.open()
			d.rival.set(func() { d.rival.away = true })
			p.Send(e.action, nil)
			time.Sleep(time.Second)
			p.Drop()
			time.Sleep(10 * time.Second) // the node has given up
			d.rival.set(func() { d.rival.away = false })
			p.Connect(d.v2)
			return p
		},
		"push": func(d *deedTest, e effect) *livetest.Page {
			p := d.open()
			d.trigger(e.action)
			return p
		},
		"push that fails at first": func(d *deedTest, e effect) *livetest.Page {
			p := d.open()
			fails := 3
			d.c.fail = &fails
			d.trigger(e.action)
			return p
		},
		"push after lost races": func(d *deedTest, e effect) *livetest.Page {
			p := d.open()
			d.rival.set(func() { d.rival.wins = 3 })
			d.trigger(e.action)
			return p
		},
		"push while the store is away": func(d *deedTest, e effect) *livetest.Page {
			p := d.open()
			d.rival.set(func() { d.rival.away = true })
			d.trigger(e.action)
			time.Sleep(3 * time.Second)
			d.rival.set(func() { d.rival.away = false })
			return p
		},
		"push on a node that dies before it stores it": func(d *deedTest, e effect) *livetest.Page {
			p := d.open()
			d.rival.set(func() { d.rival.away = true })
			d.trigger(e.action)
			time.Sleep(time.Second)
			p.Drop()
			d.one.kill()
			time.Sleep(10 * time.Second)
			d.rival.set(func() { d.rival.away = false })
			p.Connect(d.v2)
			return p
		},
		"push on another tab's changes": func(d *deedTest, e effect) *livetest.Page {
			p, other := d.open(), d.browser.Open(d.v2, "/")
			d.trigger(e.action)
			other.Wait("the push", func() bool { return strings.HasPrefix(other.Text(), "1 1") })
			time.Sleep(time.Second)
			if got := countDeeds(other); got.flashes+got.events+got.places == 0 {
				d.t.Errorf("the other tab has seen %+v", got)
			}
			return p
		},
		"push again after a failover": func(d *deedTest, e effect) *livetest.Page {
			d.store.Replicate() // there is one from the start
			time.Sleep(11 * time.Second)
			p := d.open()
			time.Sleep(time.Second)
			promote := d.store.Replicate()
			d.trigger(e.action, push.WithID("the one"))
			time.Sleep(time.Second)
			promote()
			d.trigger(e.action, push.WithID("the one"))
			return p
		},
		"push that was missed": func(d *deedTest, e effect) *livetest.Page {
			p := d.open()
			p.Drop()
			time.Sleep(time.Second) // what is on its way to nobody may be lost
			d.trigger(e.action)
			time.Sleep(time.Second)
			p.Connect(d.v2)
			return p
		},
		"push that was missed for too long": func(d *deedTest, e effect) *livetest.Page {
			p := d.open()
			p.Drop()
			time.Sleep(2 * time.Hour)
			d.trigger(e.action)
			p.Connect(d.v2)
			return p
		},
		"push on a node that stops while the store is away": func(d *deedTest, e effect) *livetest.Page {
			p := d.open()
			d.rival.set(func() { d.rival.away = true })
			d.trigger(e.action)
			time.Sleep(time.Second)
			d.rival.set(func() { d.rival.away = false }) // the node has not noticed yet
			d.one.stop()
			p.WaitClosed()
			p.Connect(d.v2)
			return p
		},
		"push and its end by a drain": func(d *deedTest, e effect) *livetest.Page {
			p := d.open()
			d.trigger(e.action)
			d.one.stop()
			p.WaitClosed()
			p.Connect(d.v2)
			return p
		},
		"topic message": func(d *deedTest, e effect) *livetest.Page {
			p := d.open()
			tellSelf(d, e.action)
			return p
		},
		"topic message after a lost race": func(d *deedTest, e effect) *livetest.Page {
			p := d.open()
			d.rival.set(func() { d.rival.wins = 2 })
			tellSelf(d, e.action)
			return p
		},
		"OnConnect": func(d *deedTest, e effect) *livetest.Page {
			p := d.load(d.v1)
			d.c.onConnect = e.run
			p.Connect(d.v1)
			d.c.onConnect = nil
			return p
		},
		"OnConnect after a lost race": func(d *deedTest, e effect) *livetest.Page {
			p := d.load(d.v1)
			d.c.onConnect = e.run
			d.rival.set(func() { d.rival.wins = 1 })
			p.Connect(d.v1)
			d.c.onConnect = nil
			return p
		},
		"Mount over the WebSocket": func(d *deedTest, e effect) *livetest.Page {
			p := d.load(d.v1)
			time.Sleep(2 * time.Hour)
			d.c.onMount = e.run
			p.Connect(d.v1)
			d.c.onMount = nil
			return p
		},
		"Mount over the WebSocket, and pushes that lose a race": func(d *deedTest, e effect) *livetest.Page {
			p := d.load(d.v1)
			time.Sleep(2 * time.Hour)
			d.c.onMount = e.run
			d.trigger("Quiet")
			d.rival.set(func() { d.rival.wins = 1 })
			p.Connect(d.v1)
			d.c.onMount = nil
			return p
		},
	}
}

// Quiet is an action without effects.
func (*deeds) Quiet(s deed, _ *live.Context) (deed, error) { return s, nil }

// tellSelf publishes on the topic of the session's own pages.
func tellSelf(d *deedTest, action string) {
	d.t.Helper()
	synctest.Wait()
	if err := d.one.hub.Publish(d.t.Context(), d.selfTopic(), action, nil); err != nil {
		d.t.Fatal(err)
	}
}

// selfTopic asks a page for the session's topic.
func (d *deedTest) selfTopic() string {
	d.t.Helper()
	var topic string
	n := startNode(d.t, d.rival, live.Config{})
	v := viewNamed(d.t, n, "asking", &topicAsker{&topic}, plain{}, `{{.N}}`)
	d.browser.Peek(v, "/")
	return topic
}

type topicAsker struct{ topic *string }

func (a *topicAsker) Mount(s plain, ctx *live.Context) (plain, error) {
	*a.topic = ctx.SelfTopic()
	return s, nil
}
