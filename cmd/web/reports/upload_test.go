package reports_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/cmd/internal/filestore"
	"lastmile/cmd/web/webtest"
	"lastmile/live/livetest"
)

// post uploads a form and returns the answer.
func post(b *livetest.Browser, w *webtest.World, kind, body string) (status int, page string) {
	r := httptest.NewRequest(http.MethodPost, "http://live.test/reports/upload", strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	res, page := b.Do(w.Mux, r) //nolint:bodyclose // Do has read it to its end
	return res.StatusCode, page
}

// form returns a multipart body with the fields, and the file in the middle.
func form(t *testing.T, name, content string, fields ...string) (kind, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("file", name)
	if err == nil {
		_, err = part.Write([]byte(content))
	}
	for i := 0; i < len(fields) && err == nil; i += 2 {
		err = w.WriteField(fields[i], fields[i+1])
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.String()
}

func TestUploadIsRefused(t *testing.T) {
	t.Parallel()
	const limit = 200 << 10
	for _, tt := range []struct {
		name, file, content string
		edit                func(kind, body string) (string, string)
		status              int
		want                string
	}{
		{"empty file", "a.csv", "", nil, http.StatusUnprocessableEntity, "The file is empty"},
		{"blank file", "a.csv", "\n\n", nil, http.StatusUnprocessableEntity, "The file is empty"},
		{"workbook", "a.csv", "PK\x03\x04\x14\x00", nil, http.StatusUnsupportedMediaType, "Excel"},
		{"web page", "a.csv", "<!doctype html><p>", nil, http.StatusUnsupportedMediaType, "web page"},
		{"binary", "a.csv", "a,b\n\x00", nil, http.StatusUnsupportedMediaType, "Line 2, column 1"},
		{"too large", "a.csv", strings.Repeat("1,2\n", limit/4+1), nil, http.StatusRequestEntityTooLarge, "up to 200 KB"},
		{"far too large", "a.csv", strings.Repeat("1,2\n", limit), nil, http.StatusRequestEntityTooLarge, "up to 200 KB"},
		{"no file chosen", "", "", nil, http.StatusBadRequest, "No file was sent"},
		{"another kind of form", "a.csv", "1", func(string, string) (string, string) {
			return "application/x-www-form-urlencoded", "file=1"
		}, http.StatusBadRequest, "complete form"},
		{"cut off", "a.csv", strings.Repeat("1,2\n", 1000), func(kind, body string) (string, string) {
			return kind, body[:len(body)/2]
		}, http.StatusBadRequest, "complete form"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := start(t, filestore.Config{MaxBytes: limit})
				b := livetest.NewBrowser(t)
				b.Get(w.Mux, "/reports")
				kind, body := form(t, tt.file, tt.content)
				if tt.edit != nil {
					kind, body = tt.edit(kind, body)
				}
				status, page := post(b, w, kind, body)
				if status != tt.status || !strings.Contains(page, tt.want) || !strings.Contains(page, `href="/reports"`) {
					t.Errorf("got status %d, want %d and %q in:\n%s", status, tt.status, tt.want, page)
				}
				for _, key := range w.Redis.Server.Keys() {
					if strings.HasPrefix(key, "asynq:") || strings.Contains(key, ":file") {
						t.Errorf("something was kept: %s", key)
					}
				}
			})
		})
	}
}

func TestUploadWithoutRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, filestore.Config{MaxTotalBytes: 4})
		b := livetest.NewBrowser(t)
		kind, body := form(t, "a.csv", "a,b\n1,2\n")
		if status, _ := post(b, w, kind, body); status != http.StatusSeeOther {
			t.Fatalf("first upload: got status %d", status)
		}
		if status, page := post(b, w, kind, body); status != http.StatusServiceUnavailable {
			t.Errorf("second upload: got status %d:\n%s", status, page)
		}
	})
}

// An upload appears in an open page, becomes a report, and its file is gone.
func TestUploadBecomesReport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, filestore.Config{ChunkBytes: 1 << 10})
		b := livetest.NewBrowser(t)
		p := b.Open(w.Mux, "/reports")
		kind, body := form(t, `C:\data\bird "list".csv`, "name,count\n"+strings.Repeat("owl,3\nlark,4\n", 500), "slow", "5", "flaky", "1")
		if status, _ := post(b, w, kind, body); status != http.StatusSeeOther {
			t.Fatalf("got status %d", status)
		}
		waitLabel(p, "waiting")
		w.Work()
		p.WaitText("Try 1 of 6 failed")
		waitLabel(p, "done")
		p.Wait("the report", func() bool { return p.Has("#open") })
		if text := p.Text(); !strings.Contains(text, "1,000 rows, 2 columns") || !strings.Contains(text, `bird "list".csv`) {
			t.Errorf("the report lacks its figures:\n%s", text)
		}
		time.Sleep(time.Second)
		for _, key := range w.Redis.Server.Keys() {
			if strings.Contains(key, ":file") {
				t.Errorf("the file is still there: %s", key)
			}
		}
	})
}

func TestBrokenFilesTellWhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, filestore.Config{})
		w.Work()
		b := livetest.NewBrowser(t)
		p := b.Open(w.Mux, "/reports")
		for content, want := range map[string]string{
			"a,b\n1,2\n3,\"x\n":   "line 3, column 3: the quote opened here is never closed",
			"a,b\n1,2\n3,4,5\n":   "line 3, column 5: this row has more fields than the header",
			"a,b\n1,2\n3,caf\xe9": "line 3, column 6: byte 0xE9 is not valid UTF-8",
			"a,b\n":               "there is a header but no row",
		} {
			kind, body := form(t, "broken.csv", content)
			if status, _ := post(b, w, kind, body); status != http.StatusSeeOther {
				t.Fatalf("got status %d", status)
			}
			p.WaitText(want)
		}
		if strings.Contains(p.Text(), "done") || strings.Contains(p.Text(), "Try 1") {
			t.Errorf("a broken file was read, or read again:\n%s", p.Text())
		}
	})
}

// A file that has expired by the time of a retry is told as such.
func TestExpiredFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, filestore.Config{TTL: time.Minute})
		b := livetest.NewBrowser(t)
		kind, body := form(t, "a.csv", "a,b\n1,2\n")
		post(b, w, kind, body)
		time.Sleep(2 * time.Minute)
		w.Work()
		p := b.Open(w.Mux, "/reports")
		p.WaitText("no longer there; please send it again")
	})
}
