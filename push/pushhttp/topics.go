package pushhttp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"lastmile/push"
)

const (
	// maxTopics bounds the topics of a reader.
	maxTopics = 16
	// topicQueue bounds the messages of topics that wait for a reader. Delivery is
	// at most once: a reader that is slower loses them.
	topicQueue = 64
)

// topicsOf returns the topics that a reader's request asks for, if it may follow
// them all.
func (h *Handler) topicsOf(r *http.Request, session string) ([]string, *problem) {
	list := r.URL.Query().Get("topics")
	if list == "" {
		return nil, nil
	}
	topics := slices.Compact(slices.Sorted(strings.SplitSeq(list, ",")))
	if len(topics) > maxTopics {
		return nil, newProblem(http.StatusBadRequest, "topics", fmt.Sprintf("%d topics, at most %d are allowed.", len(topics), maxTopics))
	}
	for _, topic := range topics {
		if err := push.ValidTopic(topic); err != nil {
			return nil, newProblem(http.StatusBadRequest, "topics", err.Error())
		}
		if h.cfg.Topics == nil || h.broker == nil {
			return nil, newProblem(http.StatusForbidden, "topics", "No topics may be followed here.")
		}
		if err := h.cfg.Topics(session, topic); err != nil {
			h.cfg.Logger.DebugContext(r.Context(), "topic refused", "topic", topic, "error", err)
			return nil, newProblem(http.StatusForbidden, "topics", "The topic "+topic+" may not be followed.")
		}
	}
	return topics, nil
}

// followTopics has the messages of the reader's topics come, until stop is called.
func (f *follower) followTopics(ctx context.Context) (stop func(), err error) {
	if len(f.who.topics) == 0 {
		return func() {}, nil
	}
	f.topics = make(chan push.TopicMessage, topicQueue)
	var stops []func()
	stop = func() {
		for _, end := range stops {
			end()
		}
	}
	for _, topic := range f.who.topics {
		end, err := f.h.broker.Follow(ctx, topic, f.hearTopic)
		if err != nil {
			stop()
			return nil, fmt.Errorf("pushhttp: follow topic %q: %w", topic, err)
		}
		stops = append(stops, end)
	}
	return stop, nil
}

func (f *follower) hearTopic(payload []byte) {
	var m push.TopicMessage
	if err := json.Unmarshal(payload, &m); err != nil {
		f.h.cfg.Logger.Warn("topic message cannot be read", "error", err)
		return
	}
	select {
	case f.topics <- m:
	default:
		f.h.metrics.topicsLost.Inc()
	}
}

// tell writes the message of a topic. It has no place in the mailbox, so the
// reader's stays as it is.
func (f *follower) tell(m push.TopicMessage) {
	e := push.Entry{Message: push.Message{Action: m.Action, Data: m.Data}}
	if html, ok := f.who.wants(e); ok {
		f.out.event("", e, html)
		f.h.metrics.events.Inc()
	}
}
