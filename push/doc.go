// Package push delivers named actions into sessions: durably, in order, and
// once for each connection.
//
// A session is one browser's (or one user's) group of connections. Any process
// that holds a [Publisher] can address it by its ID and no page, template or
// web server is needed there:
//
//	publisher, err := push.NewPublisher(transport, push.PublisherConfig{})
//	if err != nil {
//		return err
//	}
//	session := publisher.Session(id)
//	err = session.TriggerAction("DataLoaded", map[string]any{"value": 42})
//
// TriggerAction returns nil only after the push is stored in the session's
// mailbox. From there a [Node] (one for each web process) feeds it to every
// live connection of the session, in mailbox order. With no connection the
// push stays in the mailbox and the next mount of a page applies it.
//
// The package knows no database. A [Transport] stores mailboxes and wakes
// nodes; push/redisstream is the one to run, push/mempush keeps everything in
// one process's memory for tests, and push/pushtest holds the suite that both
// must pass.
package push
