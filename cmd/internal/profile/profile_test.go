package profile_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"lastmile/cmd/internal/profile"
)

func read(t *testing.T, cfg profile.Config, csv string) (profile.Report, error) {
	t.Helper()
	p, err := profile.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p.Read(t.Context(), strings.NewReader(csv))
}

func mustRead(t *testing.T, csv string) profile.Report {
	t.Helper()
	r, err := read(t, profile.Config{}, csv)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return r
}

func TestTypes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		values []string
		want   profile.Type
		nulls  int64
		odd    int64
	}{
		{"whole numbers", []string{"1", "-2", "+30", "", "NA"}, profile.TypeInt, 2, 0},
		{"decimals", []string{"1", "2.5", "-1e3", ".5", "n/a"}, profile.TypeFloat, 1, 0},
		{"beyond 64 bits", []string{"18446744073709551616"}, profile.TypeInt, 0, 0},
		{"leading zeros are identifiers", []string{"00501", "10001"}, profile.TypeText, 0, 0},
		{"zero itself", []string{"0", "0.0", "-0.5"}, profile.TypeFloat, 0, 0},
		{"not numbers", []string{"Inf", "0x1F", "1_000", "1.2.3"}, profile.TypeText, 0, 0},
		{"truth", []string{"true", "FALSE", "Yes", "n", "null"}, profile.TypeBool, 1, 0},
		{"dates", []string{"2024-02-29", "1999-12-31", "2024/01/02"}, profile.TypeDate, 0, 0},
		{"times", []string{"2024-02-29T10:11:12Z", "2024-02-29 10:11:12", "2024-02-29T10:11"}, profile.TypeDate, 0, 0},
		{"other dates", []string{"12/31/2024", "31.12.2024"}, profile.TypeDate, 0, 0},
		{"no such day", []string{"2023-02-29"}, profile.TypeText, 0, 0},
		{"a day of unknown order", []string{"25/12/2020"}, profile.TypeText, 0, 0},
		{"aircraft", []string{"737-200", "A-320"}, profile.TypeText, 0, 0},
		{"nothing", []string{"", "NULL", "nan"}, profile.TypeEmpty, 3, 0},
		{"one that is odd", append(strings.Fields(strings.Repeat("1 ", 20)), "oops"), profile.TypeText, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := mustRead(t, "x,y\n"+strings.Join(tt.values, ",1\n")+",1\n")
			c := r.Columns[0]
			if c.Type != tt.want || c.Nulls != tt.nulls || c.Odd != tt.odd {
				t.Errorf("got type %s, %d nulls, %d odd, want %s, %d, %d", c.Type, c.Nulls, c.Odd, tt.want, tt.nulls, tt.odd)
			}
		})
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	got := mustRead(t, "\xef\xbb\xbfcity,temp,day,\r\nOslo,-1.5,2024-01-01,x\r\n\"Rome, IT\",12,2024-01-03,x\r\nOslo,0.5,,x\r\n")
	want := profile.Report{
		Rows: 3, Bytes: 84, Delimiter: ",",
		Columns: []profile.Column{
			{Name: "city", Type: profile.TypeText, Distinct: 2, MaxLength: 8, Top: []profile.Value{{Text: "Oslo", Count: 2}, {Text: "Rome, IT", Count: 1}}},
			{
				Name: "temp", Type: profile.TypeFloat, Distinct: 3, MaxLength: 4,
				Spread:    &profile.Spread{Min: -1.5, Max: 12, Mean: 11.0 / 3, StdDev: 7.285830, Quantiles: [5]float64{-1.3, -0.5, 0.5, 6.25, 10.85}},
				Histogram: &profile.Histogram{Start: -1.5, Width: 0.5, Counts: nil},
			},
			{
				Name: "day", Type: profile.TypeDate, Nulls: 1, Distinct: 2, MaxLength: 10,
				Spread:    &profile.Spread{Min: 1704067200, Max: 1704240000, Mean: 1704153600, StdDev: 122188.05, Quantiles: [5]float64{1704075840, 1704110400, 1704153600, 1704196800, 1704231360}},
				Histogram: &profile.Histogram{Start: 1704067200, Step: "6 hours", Counts: []int64{1, 0, 0, 0, 0, 0, 0, 0, 1}},
			},
			{Name: "column 4", Type: profile.TypeText, Distinct: 1, MaxLength: 1, Top: []profile.Value{{Text: "x", Count: 3}}},
		},
	}
	want.Columns[1].Histogram.Counts = make([]int64, 28)
	for _, i := range []int{0, 4, 27} {
		want.Columns[1].Histogram.Counts[i] = 1
	}
	near := cmp.Comparer(func(a, b float64) bool { return a-b < 0.01 && b-a < 0.01 })
	if d := cmp.Diff(got, want, near); d != "" {
		t.Errorf("report (-got +want):\n%s", d)
	}
}

func TestDelimiters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, csv, want string
		columns         int
	}{
		{"comma", "a,b\n1,2\n", ",", 2},
		{"semicolon with decimal commas", "a;b\n1,5;2,5\n3,5;4,5\n", ";", 2},
		{"tab", "a\tb\tc\n1\t2\t3\n", "\t", 3},
		{"bar", "a|b\n1|2\n", "|", 2},
		{"delimiter inside quotes", "a,b\n\"x;y;z\",2\n\"x;y;z\",3\n", ",", 2},
		{"one column", "a\n1\n2\n", ",", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := mustRead(t, tt.csv)
			if r.Delimiter != tt.want || len(r.Columns) != tt.columns {
				t.Errorf("got delimiter %q and %d columns, want %q and %d", r.Delimiter, len(r.Columns), tt.want, tt.columns)
			}
			if tt.name == "semicolon with decimal commas" && r.Columns[0].Type != profile.TypeFloat {
				t.Errorf("got type %s, want float", r.Columns[0].Type)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	long := "a,b\n1,\"" + strings.Repeat("x\n", 100_000)
	for _, tt := range []struct {
		name, csv    string
		code         profile.Code
		line, column int
	}{
		{"empty", "", profile.CodeEmpty, 0, 0},
		{"blank lines", "\xef\xbb\xbf\n\r\n  \n", profile.CodeEmpty, 0, 0},
		{"header only", "a,b,c\n", profile.CodeHeaderOnly, 1, 1},
		{"header only, no line end", "a,b,c", profile.CodeHeaderOnly, 1, 1},
		{"excel", "PK\x03\x04\x14\x00\x06\x00", profile.CodeNotCSV, 0, 0},
		{"old excel", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", profile.CodeNotCSV, 0, 0},
		{"web page", "\n <!DOCTYPE HTML><html>", profile.CodeNotCSV, 0, 0},
		{"json", "{\"a\":1}", profile.CodeNotCSV, 0, 0},
		{"utf-16", "\xff\xfea\x00,\x00", profile.CodeNotCSV, 0, 0},
		{"zero byte", "a,b\nä\x00,1\n", profile.CodeNotCSV, 2, 2},
		{"quote in a plain field", "a,b\n1,2\nä,5\" pipe\n", profile.CodeQuote, 3, 4},
		{"text after a quote", "a,b\n\"x\"y,1\n", profile.CodeQuote, 2, 4},
		{"text after a quote over lines", "a,b\n\"x\ny\"z,1\n", profile.CodeQuote, 3, 3},
		{"quote never closed", "a,b\n1,2\nä,\"x\n3,4\n", profile.CodeQuote, 3, 3},
		{"quote never closed, long", long, profile.CodeRecord, 2, 1},
		{"long line", "a,b\n1," + strings.Repeat("y", 200_000) + "\n", profile.CodeRecord, 2, 1},
		{"too few fields", "a,b,c\n1,2,3\n1,2\n", profile.CodeRagged, 3, 4},
		{"too many fields", "a,b\n1,2\n3,ü,5\n", profile.CodeRagged, 3, 5},
		{"latin-1", "a,b\n1,ä caf\xe9\n", profile.CodeEncoding, 2, 8},
		{"too many columns", strings.Repeat("a,", 100) + "a\n", profile.CodeColumns, 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := read(t, profile.Config{MaxRecordBytes: 64 << 10}, tt.csv)
			fault, ok := errors.AsType[*profile.Error](err)
			if !ok {
				t.Fatalf("got error %v, want a *profile.Error", err)
			}
			if fault.Code != tt.code || fault.Line != tt.line || fault.Column != tt.column {
				t.Errorf("got %s at %d:%d (%v), want %s at %d:%d", fault.Code, fault.Line, fault.Column, err, tt.code, tt.line, tt.column)
			}
		})
	}
}

func TestReadStops(t *testing.T) {
	t.Parallel()
	p, err := profile.New(profile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("when the context ends", func(t *testing.T) {
		t.Parallel()
		why := errors.New("the reader pressed cancel")
		ctx, cancel := context.WithCancelCause(t.Context())
		var last int64
		_, err := p.ReadProgress(ctx, &generator{rows: 1 << 40}, func(b, rows int64) {
			if b <= last || rows <= 0 {
				t.Errorf("progress went from %d to %d bytes at %d rows", last, b, rows)
			}
			if last = b; b > 1<<20 {
				cancel(why)
			}
		})
		if !errors.Is(err, why) {
			t.Errorf("got error %v, want %v", err, why)
		}
	})
	t.Run("when the reader fails", func(t *testing.T) {
		t.Parallel()
		broken := errors.New("connection reset")
		for _, start := range []string{"", "a,b\n1,2\n", "a,b\n\"1"} {
			_, err := p.Read(t.Context(), io.MultiReader(strings.NewReader(start), iotest.ErrReader(broken)))
			if !errors.Is(err, broken) {
				t.Errorf("after %q: got error %v, want %v", start, err, broken)
			}
		}
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, cfg := range []profile.Config{{MaxColumns: -1}, {MaxRecordBytes: 10}, {MaxReportBytes: 10}} {
		if _, err := profile.New(cfg); err == nil {
			t.Errorf("New(%+v): got no error", cfg)
		}
	}
}
