package main

import (
	"testing"

	"go.uber.org/goleak"

	"lastmile/cmd/internal/programtest"
)

func TestMain(m *testing.M) {
	programtest.Main(main)
	goleak.VerifyTestMain(m)
}
