package main

import (
	"testing"

	"go.uber.org/goleak"

	"lastmile/internal/programtest"
)

func TestMain(m *testing.M) {
	programtest.Main(main)
	goleak.VerifyTestMain(m)
}
