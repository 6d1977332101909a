package cluster

import (
	"io"
	"net/http"
)

// renewing sends a request once more that the server did not know the sender of. Credentials end in the middle of a run: client-go
// drops those that a plugin or a file gave when it sees the answer, and has new ones for the next request. It stands before all
// that adds credentials, and a request that is refused so changed nothing, whatever its verb.
type renewing struct {
	next http.RoundTripper
}

func (t *renewing) RoundTrip(r *http.Request) (*http.Response, error) {
	given := r.Header.Values("Authorization")
	resp, err := t.next.RoundTrip(r)
	body := r.Body != nil && r.Body != http.NoBody
	if err != nil || resp.StatusCode != http.StatusUnauthorized || body && r.GetBody == nil || r.Context().Value(impatient{}) != nil {
		return resp, err
	}
	again := r.Clone(r.Context())
	// Those that client-go adds for a plugin are added to the request itself.
	again.Header.Del("Authorization")
	for _, text := range given {
		again.Header.Add("Authorization", text)
	}
	if body {
		if again.Body, err = r.GetBody(); err != nil {
			return resp, nil
		}
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
	return t.next.RoundTrip(again)
}
