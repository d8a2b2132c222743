// Package live serves pages that live on the server: a page is a controller, a
// state and an html/template. Actions (clicks, forms, pushes, topic messages)
// turn a state into the next, and the browser is patched.
//
//	type Page struct{ Value string }
//
//	type Controller struct{}
//
//	func (c *Controller) OnConnect(state Page, ctx *live.Context) (Page, error) {
//		session := ctx.Session()
//		go func() {
//			result := fetchSlowData()
//			_ = session.TriggerAction("DataLoaded", map[string]any{"value": result})
//		}()
//		return state, nil
//	}
//
//	func (c *Controller) DataLoaded(state Page, ctx *live.Context) (Page, error) {
//		state.Value = ctx.GetString("value")
//		return state, nil
//	}
//
// and, with node, publisher and store from the packages below push,
//
//	hub, err := live.New(live.Deps{Node: node, Publisher: publisher, States: store, Broker: store}, live.Config{})
//	view, err := live.NewView(hub, "page", &Controller{}, Page{}, tmpl, live.ViewConfig{})
//	mux.Handle("/page", view)
//	err = hub.Run(ctx)
//
// # What a page can rely on
//
// A push is applied exactly once to each connection's state, in the order of
// the session's mailbox, whatever restarts in between: state and place are
// stored in one step. The code of an action may run again (after a crash, a
// failure, or when two tabs change the same persisted fields), so what it does
// outside the state happens at least once; Context.ActionID tells repeats. A
// click is stored before its answer is sent, and a browser that repeats it after
// a lost connection does not run it twice.
//
// A push whose action returns an error or panics is tried again with backoff,
// eight times, while clicks are served and later pushes wait; then it goes to
// the dead letters and the page gets an error event. An error that wraps
// push.ErrReject goes there at once. A push for an action that the view lacks
// waits for a view that has it.
//
// Actions of one connection never run at the same time. They must not keep the
// state's maps, slices or pointers for use after they return, and should heed
// their Context: an action that overstays keeps its page waiting.
//
// # What is kept
//
// The state of a connection is stored as JSON after each action and outlives
// the socket by Config.ResumeTTL: a browser that reconnects, to any node, goes
// on where it was. NewView refuses fields that JSON does not carry (interfaces,
// functions, what is unexported). Fields tagged `json:"-"` are not kept. Fields tagged
// `live:"persist"` outlive the page: all connections of the same view in the
// same session share them, and a reload or a form without JavaScript starts
// with them. What one of them stores the others show at once, on any node. A
// click that runs while another tab stores the same field wins. A stored field that no longer fits its Go type, after a deployment
// that changed it, is left out, logged and counted: the page comes up with the
// initial value, and the stored one stays until the next change of a persisted
// field is stored. A page whose state would exceed Config.MaxStateBytes with
// the fields that another has stored is closed with an error, and mounts anew
// when its browser comes back.
//
// Fields tagged `live:"load"` are not stored at all: rows of a database, what is
// large, what JSON does not carry. The controller's OnLoad, with the signature of
// an action, fills them from the rest of the state whenever a state is made or
// comes out of the store: before Mount, at a reconnect, after an action that
// failed (it may have changed what a slice holds), before pushes run again on
// fields that another tab has stored, and when such fields reach the page. Of what
// it returns only those fields are kept, and it cannot act on the page. An action
// finds them filled and changes them as it does others; on an open connection it
// does not have them loaded again. When OnLoad fails, a page is answered with
// status 500 and a connection is closed, or waits; the browser comes back, and what
// the state and the mailbox hold stays there until then.
//
// # The address
//
// Context.PatchURL gives the page another query without leaving it, and the
// controller's OnURL, with the signature of an action, makes of a state what the
// address says. OnURL runs when a page is made (after Mount), behind each action
// that patches, and when the browser goes back or forward: so a link, a reload and
// the history show the same. What caused the action makes no difference. OnURL
// should set all that the address says, not only what has changed.
//
// # HTML
//
// A form with a button or hidden field named live-action posts without
// JavaScript and goes over the WebSocket with it. live-click, live-change and
// live-input name an action for an element, live-value-* attributes add data.
// The package live/client documents all of them. Any action can be called by
// any visitor with any data, as with every form: check what comes in, or name
// the action in ViewConfig.PushOnly.
package live
