package redisstream

// routing says where a node's hints go, and the field of a session's meta hash
// that says so to publishers. They read both kinds: each node's route tells.
type routing struct {
	keys  keys
	inbox bool
}

// route returns the field.
func (r routing) route(node string) string {
	if r.inbox {
		return "i" + node
	}
	return "n" + node
}

// stream returns the stream for hints about a partition's sessions.
func (r routing) stream(p int, node string) string {
	if r.inbox {
		p = 0
	}
	return r.keys.node(p, node)
}

// streams returns all the streams of a node.
func (r routing) streams(node string) []string {
	if r.inbox {
		return []string{r.stream(0, node)}
	}
	all := make([]string, len(r.keys.tags))
	for p := range all {
		all[p] = r.stream(p, node)
	}
	return all
}
