package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ListOptions go for every list.
type ListOptions struct {
	// PageSize is how many items are asked for at once, up to 500; 0: the server's own, 50. It changes the number of requests, not what is listed.
	PageSize int
	// Cursor is where the list goes on that ended with its Next; "": at its start. The list has to be asked for by the same filter.
	Cursor string
	// Next, if not nil, ends the list after one page. The cursor of the next page is put there; "" if there is none. A page may have fewer items than its size,
	// or none, and yet not be the last.
	Next *string
}

// list reads a list page by page, as far as its reader goes. It ends with the first error. What is there all the while is listed exactly once. The list can be
// read again, from its start.
func list[T any](ctx context.Context, c *Client, o ListOptions, query url.Values, format string, elements ...string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		p, err := path(format, elements...)
		if err != nil {
			yield(none, err)
			return
		}
		q := url.Values{}
		for name, values := range query {
			q[name] = values
		}
		if o.PageSize != 0 {
			q.Set("limit", strconv.Itoa(o.PageSize))
		}
		if o.Cursor != "" {
			q.Set("cursor", o.Cursor)
		}
		for {
			var page struct {
				Items      []T    `json:"items"`
				NextCursor string `json:"next_cursor"`
			}
			if _, err := c.call(ctx, request{method: http.MethodGet, path: p, query: q}, &page); err != nil {
				yield(none, err)
				return
			}
			if o.Next != nil {
				*o.Next = page.NextCursor
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if o.Next != nil {
				return
			}
			switch page.NextCursor {
			case "":
				return
			case q.Get("cursor"):
				yield(none, fmt.Errorf("client: GET %s: a page names itself as the next one", p))
				return
			}
			q.Set("cursor", page.NextCursor)
		}
	}
}

// Collect reads a list to its end. It returns what came before an error, too.
func Collect[T any](items iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for item, err := range items {
		if err != nil {
			return all, err
		}
		all = append(all, item)
	}
	return all, nil
}

// query returns the parameters that are not empty. Names and values alternate.
func query(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

// setTimes adds the parameters of a time that are not zero.
func setTimes(q url.Values, since, until time.Time) {
	for name, at := range map[string]time.Time{"since": since, "until": until} {
		if !at.IsZero() {
			q.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
}
