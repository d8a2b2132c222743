package pushhttp

import (
	"encoding/json"
	"mime"
	"net/http"
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
	if p := h.acknowledge(r.Context(), who, in.UpTo, ackPost); p != nil {
		p.write(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}
