package live

import (
	"net/http"
	"net/url"
	"strings"
)

// Request is what a page keeps of the request that opened it or its
// connection. It is a copy, safe to keep.
type Request struct {
	// Path and RawQuery are those of the page's address.
	Path, RawQuery string
	// Language is the Accept-Language header.
	Language string
	// UserAgent is the User-Agent header.
	UserAgent string
	// RemoteAddr is the peer's address, the proxy's if there is one.
	RemoteAddr string

	public    string // the path as the browser has it
	wildcards map[string]string
}

// Query parses the address's query.
func (r Request) Query() url.Values {
	q, _ := url.ParseQuery(r.RawQuery) // what can be parsed is of use
	return q
}

// PathValue returns the value of a wildcard of the ServeMux pattern that led to
// the page, or "".
func (r Request) PathValue(name string) string { return r.wildcards[name] }

// keepRequest copies what outlives the request.
func keepRequest(r *http.Request) Request {
	q := r.URL.Query()
	if ask := q.Get(queryLive); ask != "" {
		q.Del(queryLive)
		if ask != askLane { // which stands in for the page's own address
			q.Del(queryToken)
		}
	}
	out := Request{
		Path: strings.Clone(r.URL.Path), RawQuery: q.Encode(), public: strings.Clone(publicPath(r)),
		Language:   strings.Clone(r.Header.Get("Accept-Language")),
		UserAgent:  strings.Clone(r.UserAgent()),
		RemoteAddr: r.RemoteAddr,
	}
	for rest := r.Pattern; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			return out
		}
		name, tail, _ := strings.Cut(after, "}")
		rest = tail
		if name = strings.TrimSuffix(name, "..."); name != "" && name != "$" {
			if out.wildcards == nil {
				out.wildcards = map[string]string{}
			}
			out.wildcards[name] = r.PathValue(name)
		}
	}
}
