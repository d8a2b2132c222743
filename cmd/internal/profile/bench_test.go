package profile_test

import (
	"bytes"
	"io"
	"testing"

	"lastmile/cmd/internal/profile"
)

func BenchmarkRead(b *testing.B) {
	p, err := profile.New(profile.Config{})
	if err != nil {
		b.Fatal(err)
	}
	data, err := io.ReadAll(&generator{rows: 100_000})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Read(b.Context(), bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}
