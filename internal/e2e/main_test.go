package e2e_test

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"

	"lastmile/internal/e2e/harness"
	"lastmile/internal/e2e/testapp"
)

// binaries are built by the first test that needs them.
var binaries harness.Binaries

func TestMain(m *testing.M) {
	if spec := os.Getenv(testapp.Variable); spec != "" {
		os.Exit(testapp.Main(spec)) // this is a child of one of the tests
	}
	// The tests wait for timeouts much more than they work.
	if err := flag.Set("test.parallel", "5"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		binaries.Remove()
		os.Exit(code)
	}))
}
