package client_test

import (
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"lastmile/live/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestScriptIsNamedByItsContent(t *testing.T) {
	t.Parallel()
	name, body := client.Script()
	if !regexp.MustCompile(`^client\.[0-9a-f]{16}\.js$`).MatchString(name) {
		t.Errorf("name = %q, want client.<16 hex digits>.js", name)
	}
	body[0] = 'X' // the caller's own copy
	again, clean := client.Script()
	if again != name || clean[0] == 'X' {
		t.Errorf("second call gives %q and %q..., want the same as the first", again, clean[:10])
	}
}

func TestScriptFetchesNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	_, body := client.Script()
	text := strings.ReplaceAll(string(body), "http://www.w3.org/", "") // names of namespaces
	for _, bad := range []string{"http://", "https://", "sourceMappingURL", "eval("} {
		if strings.Contains(text, bad) {
			t.Errorf("the script contains %q", bad)
		}
	}
}
