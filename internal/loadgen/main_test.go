package loadgen_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"lastmile/internal/loadgen"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(loadgen.Variable); spec != "" {
		os.Exit(loadgen.Main(spec)) // this is a child of one of the tests
	}
	goleak.VerifyTestMain(m)
}
