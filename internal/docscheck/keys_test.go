package docscheck_test

import (
	"fmt"
	"strings"
	"testing"

	"lastmile/push/redisstream"
)

// TestKeyTableIsDocumented compares ARCHITECTURE's table with the code's.
func TestKeyTableIsDocumented(t *testing.T) {
	t.Parallel()
	text := read(t, "docs/ARCHITECTURE.md")
	for _, k := range redisstream.KeyTable() {
		row := fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", k.Name, k.Type, k.Owner, k.Lifetime, k.Bound)
		if !strings.Contains(text, row) {
			t.Errorf("docs/ARCHITECTURE.md lacks the row\n%s", row)
		}
	}
	if got, want := strings.Count(text, "| `<p>:"), len(redisstream.KeyTable()); got != want {
		t.Errorf("docs/ARCHITECTURE.md has %d rows of keys, the code %d", got, want)
	}
}
