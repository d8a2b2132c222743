package pushhttp_test

import (
	"testing"

	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	logging.Disable() // the client's own reports of the faults that tests cause
	goleak.VerifyTestMain(m)
}
