// Package tutorial is the application of Asynq's tutorial: tasks, a client that
// enqueues them, and workers.
package tutorial

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"
)

// A list of task types.
const (
	TypeEmailDelivery = "email:deliver"
	TypeImageResize   = "image:resize"
)

// EmailDeliveryPayload says whom to write, and what.
type EmailDeliveryPayload struct {
	UserID     int
	TemplateID string
}

// ImageResizePayload says which image.
type ImageResizePayload struct {
	SourceURL string
}

// NewEmailDeliveryTask makes a task. A task consists of a type and a payload.
func NewEmailDeliveryTask(userID int, tmplID string) (*asynq.Task, error) {
	payload, err := json.Marshal(EmailDeliveryPayload{UserID: userID, TemplateID: tmplID})
	if err != nil {
		return nil, err
	}
	return asynq.NewTask(TypeEmailDelivery, payload), nil
}

// NewImageResizeTask makes a task. Its options can be overridden at enqueue time.
func NewImageResizeTask(src string) (*asynq.Task, error) {
	payload, err := json.Marshal(ImageResizePayload{SourceURL: src})
	if err != nil {
		return nil, err
	}
	return asynq.NewTask(TypeImageResize, payload, asynq.MaxRetry(5), asynq.Timeout(20*time.Minute)), nil
}

// HandleEmailDeliveryTask handles an input task.
func HandleEmailDeliveryTask(ctx context.Context, t *asynq.Task) error {
	var p EmailDeliveryPayload
	if err := json.Unmarshal(t.Payload(), &p); err != nil {
		return fmt.Errorf("json.Unmarshal failed: %w: %w", err, asynq.SkipRetry)
	}
	slog.InfoContext(ctx, "Sending Email to User", "user_id", p.UserID, "template_id", p.TemplateID)
	// Email delivery code ...
	return nil
}

// ImageProcessor implements the asynq.Handler interface.
type ImageProcessor struct{}

// ProcessTask resizes an image.
func (processor *ImageProcessor) ProcessTask(ctx context.Context, t *asynq.Task) error {
	var p ImageResizePayload
	if err := json.Unmarshal(t.Payload(), &p); err != nil {
		return fmt.Errorf("json.Unmarshal failed: %w: %w", err, asynq.SkipRetry)
	}
	slog.InfoContext(ctx, "Resizing image", "src", p.SourceURL)
	// Image resizing code ...
	return nil
}
