package push

// watch is what a feed has heard of a view's record. Its box.mu guards it.
type watch struct {
	view    string
	version uint64
	told    bool // since the last call of Stored
}

// Watch has the feed hear of the record that all connections of the view share
// (States.LoadView) from now on. Who loads the record behind it misses no change.
func (f *Feed) Watch(view string) {
	f.box.mu.Lock()
	defer f.box.mu.Unlock()
	f.watch = watch{view: view}
}

// Stored returns the version at which somebody has stored the record of the view
// that the feed watches, the caller included, or 0 when that may have happened
// unheard. It reports false when nothing has been heard since the last call. Ready is signalled when
// there is something.
func (f *Feed) Stored() (version uint64, ok bool) {
	f.box.mu.Lock()
	defer f.box.mu.Unlock()
	version, ok = f.watch.version, f.watch.told
	f.watch.version, f.watch.told = 0, false
	return version, ok
}

// stored takes a hint about a view's record. box.mu is held.
func (f *Feed) stored(h Notice) {
	w := &f.watch
	if h.View != w.view || f.closed || w.told && w.version == 0 {
		return // of another view; or the record has to be read anyway
	}
	w.version, w.told = h.Version, true
	f.signal()
}

// missed has all feeds look at their view's record: hints may have been lost.
// box.mu is held.
func (box *mailbox) missed() {
	for _, f := range box.feeds {
		if f.watch.view != "" {
			f.stored(Notice{View: f.watch.view})
		}
	}
}

// Stored tells the session's feeds on this node that the view's record has been
// stored at a version. The store gives all nodes that hint; on this one it need
// not be waited for.
func (n *Node) Stored(session, view string, version uint64) {
	n.offer(Notice{Session: session, View: view, Version: version})
}
