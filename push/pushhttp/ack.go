package pushhttp

import (
	"encoding/json"
	"mime"
	"net/http"
	"time"
)

// maxAckBody bounds the body of an acknowledgement, in bytes.
const maxAckBody = 4 << 10

// ack takes {"upTo": id} from a reader: it has applied everything up to there.
// The request may reach another node than its stream.
func (h *Handler) ack(w http.ResponseWriter, r *http.Request, who caller) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		newProblem(http.StatusUnsupportedMediaType, "body", "The body must be application/json.").write(w, r)
		return
	}
	var in struct {
		UpTo string `json:"upTo"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAckBody)).Decode(&in); err != nil {
		newProblem(http.StatusBadRequest, "body", `The body must be a JSON object, {"upTo": "<event ID>"}.`).write(w, r)
		return
	}
	if p := h.acknowledge(r, who, in.UpTo, ackPost); p != nil {
		p.write(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// acknowledge confirms what a reader says it has applied.
func (h *Handler) acknowledge(r *http.Request, who caller, upTo, how string) *problem {
	at, err := h.keys.parse(who.session, who.only, upTo)
	if err != nil {
		return newProblem(http.StatusBadRequest, "cursor", "upTo is no event ID of this session and these actions.")
	}
	if e := h.node.Epoch(); e != "" && e != at.epoch {
		return newProblem(http.StatusConflict, "epoch", "The event ID is of a store that was emptied since.")
	}
	if err := h.confirm(r.Context(), who, at.seq, how); err != nil {
		h.cfg.Logger.WarnContext(r.Context(), "confirmation failed", "error", err)
		return pollProblem(err).again(time.Second)
	}
	return nil
}
