package tasks

import (
	"fmt"
	"maps"
	"reflect"
	"unsafe"

	"github.com/hibiken/asynq"
)

// WithHeaders returns a copy of a task that has more headers. Asynq copies no
// task with its options, and has no way to add headers to one that was made
// without: so the copy's field is set from outside. It panics on an Asynq whose
// tasks are of another form.
func WithHeaders(t *asynq.Task, more map[string]string) *asynq.Task {
	all := maps.Clone(t.Headers())
	if all == nil {
		all = make(map[string]string, len(more))
	}
	maps.Copy(all, more)
	bound := *t
	field := reflect.ValueOf(&bound).Elem().FieldByName("headers")
	if !field.IsValid() || field.Type() != reflect.TypeFor[map[string]string]() {
		panic(fmt.Sprintf("jobs: this Asynq's %T has no headers of the known form", t))
	}
	*(*map[string]string)(unsafe.Pointer(field.UnsafeAddr())) = all
	return &bound
}
