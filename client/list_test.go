package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/bindgate/bindgate/client"
)

func TestListsReadPages(t *testing.T) {
	t.Parallel()
	var asked []string
	c := clientOn(t, func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.RawQuery)
		switch r.URL.Query().Get("cursor") {
		case "":
			return says(200, `{"items":[{"group":"a"},{"group":"b"}],"next_cursor":"x y+z"}`)
		case "x y+z":
			return says(200, `{"items":[],"next_cursor":"last"}`) // a page may be empty and not the last
		}
		return says(200, `{"items":[{"group":"c"}],"next_cursor":null}`)
	}, client.Config{})
	groups := c.ListGroups(t.Context(), client.ListOptions{PageSize: 2})
	for range 2 { // the second time from its start
		all, err := client.Collect(groups)
		if err != nil || len(all) != 3 || all[2].Name != "c" {
			t.Errorf("%v, %v", all, err)
		}
	}
	if want := "[limit=2 cursor=x+y%2Bz&limit=2 cursor=last&limit=2]"; fmt.Sprint(asked[:3]) != want || len(asked) != 6 {
		t.Errorf("asked %q, want %s twice", asked, want)
	}
	asked = nil
	for g, err := range groups {
		if err != nil || g.Name != "a" {
			t.Fatal(g, err)
		}
		break
	}
	if len(asked) != 1 {
		t.Errorf("asked %q: want the first page alone", asked)
	}
}

func TestOnePage(t *testing.T) {
	t.Parallel()
	var asked []string
	c := clientOn(t, func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.RawQuery)
		if r.URL.Query().Get("cursor") == "" {
			return says(200, `{"items":[{"group":"a"}],"next_cursor":"x"}`)
		}
		return says(200, `{"items":[],"next_cursor":null}`)
	}, client.Config{})
	next := "before"
	page, err := client.Collect(c.ListGroups(t.Context(), client.ListOptions{Next: &next}))
	if err != nil || len(page) != 1 || next != "x" {
		t.Errorf("%v, next %q, %v", page, next, err)
	}
	page, err = client.Collect(c.ListGroups(t.Context(), client.ListOptions{Cursor: next, Next: &next}))
	if err != nil || len(page) != 0 || next != "" || len(asked) != 2 || asked[1] != "cursor=x" {
		t.Errorf("%v, next %q, asked %q, %v", page, next, asked, err)
	}
}

func TestListsEndWithAnError(t *testing.T) {
	t.Parallel()
	c := clientOn(t, func(r *http.Request) (*http.Response, error) {
		if r.URL.Query().Get("cursor") == "" {
			return says(200, `{"items":[{"group":"a"}],"next_cursor":"x"}`)
		}
		return says(403, "")
	}, client.Config{})
	all, err := client.Collect(c.ListGroups(t.Context(), client.ListOptions{}))
	if len(all) != 1 || !errors.Is(err, client.ErrForbidden) {
		t.Errorf("%v, %v", all, err)
	}

	c = clientOn(t, func(*http.Request) (*http.Response, error) {
		return says(200, `{"items":[],"next_cursor":"x"}`)
	}, client.Config{})
	if _, err := client.Collect(c.ListGroups(t.Context(), client.ListOptions{})); err == nil {
		t.Error("a list without an end has ended well")
	}
}
