package jobs

import (
	"fmt"
	"log/slog"
)

// asynqLogger passes what Asynq says on to slog. Its news about single tasks
// repeat what the pool logs itself, so they come a level lower.
type asynqLogger struct{ log *slog.Logger }

func (l asynqLogger) say(level func(string, ...any), args []any) {
	level("asynq", "message", fmt.Sprint(args...))
}

func (l asynqLogger) Debug(args ...any) { l.say(l.log.Debug, args) }
func (l asynqLogger) Info(args ...any)  { l.say(l.log.Debug, args) }
func (l asynqLogger) Warn(args ...any)  { l.say(l.log.Info, args) }
func (l asynqLogger) Error(args ...any) { l.say(l.log.Warn, args) }
func (l asynqLogger) Fatal(args ...any) { l.say(l.log.Error, args) }
