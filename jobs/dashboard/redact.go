package dashboard

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxShown = 4 << 10
	masked   = "[redacted]"
)

// redact masks fields whose names sound secret.
func redact(_ string, payload []byte) string {
	if len(payload) == 0 {
		return ""
	}
	var v any
	if err := json.Unmarshal(payload, &v); err != nil {
		return "[not JSON]"
	}
	b, err := json.Marshal(mask(v))
	if err != nil {
		return "[not JSON]"
	}
	if len(b) > maxShown {
		cut := maxShown
		for !utf8.RuneStart(b[cut]) {
			cut--
		}
		return string(b[:cut]) + "…"
	}
	return string(b)
}

func mask(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, field := range v {
			if secret(key) {
				v[key] = masked
			} else {
				v[key] = mask(field)
			}
		}
	case []any:
		for i := range v {
			v[i] = mask(v[i])
		}
	}
	return v
}

func secret(name string) bool {
	name = strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
	for _, s := range []string{
		"password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "accesskey", "privatekey", "authorization", "bearer", "jwt",
		"cookie", "session", "credential",
	} {
		if strings.Contains(name, s) {
			return true
		}
	}
	return false
}
