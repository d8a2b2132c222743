package redisstream

import (
	"context"
	"strings"

	"lastmile/internal/permission"
	"lastmile/push"
)

// AppendStored appends an entry in a stored form of the test's choice.
func (t *Transport) AppendStored(ctx context.Context, session, id string, stored []byte) (push.Receipt, error) {
	return t.store(ctx, push.Message{ID: id, Session: session}, stored)
}

// Tidy does at once what Run does now and then.
func (t *Transport) Tidy(ctx context.Context) error { return housekeeper{t}.tidy(ctx) }

// AppendPipeline appends messages in one pipeline.
func (t *Transport) AppendPipeline(ctx context.Context, messages []push.Message) error {
	calls := make([]call, len(messages))
	for i, m := range messages {
		payload, err := push.EncodeMessage(m)
		if err != nil {
			return err
		}
		calls[i] = t.appendCall(m, payload)
	}
	_, err := pipe(ctx, t.client.Pipeline(), calls, nil)
	return err
}

// Mailbox returns the key of a session's mailbox.
func (t *Transport) Mailbox(session string) string { return t.keys.box(session).mailbox }

// NodeStream returns the key of a node's stream in the first partition.
func NodeStream(prefix string, partitions int, node string) string {
	return newKeys(prefix, partitions).node(0, node)
}

// Slot returns the slot of a session's keys.
func Slot(prefix string, partitions int, session string) int {
	_, tag, _ := strings.Cut(newKeys(prefix, partitions).box(session).tag, "{")
	tag, _, _ = strings.Cut(tag, "}")
	return int(crc16(tag)) % slots
}

// Needed returns the names of the commands that Preflight tries.
func Needed() []string {
	var names []string
	for _, line := range permission.Commands(needed) {
		names = append(names, permission.Name(line))
	}
	return append(names, "PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE")
}

// ScriptSources returns the text of all scripts.
func ScriptSources() string {
	return libLua + settingsLua + entryLua + appendLua + attachLua + pendingLua + ackLua + countStartLua + deadLetterLua + expireLua + checkLua + closeLua + takeLua + commitLua
}
