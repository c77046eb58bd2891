// Package httpapi is the driver for a stock ejabberd: sessions are listed and ended by its HTTP API (mod_http_api). Nothing of ours is installed there; what the
// operator has to allow is in Permissions.
package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bindgate/bindgate/xmppbridge/stock"
)

// Permissions is what has to be in ejabberd.yml for this driver, if bindgate runs on the server's machine.
const Permissions = `api_permissions:
  "bindgate":
    from: [mod_http_api]
    who: {access: {allow: [{ip: 127.0.0.1/8}]}}
    what: [connected_users_info, user_sessions_info, kick_session, registered_vhosts]`

// Bounds of what is read of an answer. 100,000 sessions are about 25 MB.
const (
	maxAnswer  = 64 << 20
	maxProblem = 4 << 10
)

// callTimeout is for a call without an earlier deadline.
const callTimeout = 20 * time.Second

// The commands.
const (
	listAll  = "connected_users_info"
	listUser = "user_sessions_info"
	kick     = "kick_session"
	hosts    = "registered_vhosts" // only to find mistakes in the configuration
)

// Driver is for one ejabberd.
type Driver struct {
	url    string // with a slash at its end
	client *http.Client
}

// CheckURL says what is wrong with the address of an API.
func CheckURL(apiURL string) error {
	u, err := url.Parse(apiURL)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return fmt.Errorf("%q is not the URL of ejabberd's HTTP API: it looks like http://127.0.0.1:5280/api", apiURL)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return errors.New("the URL of ejabberd's HTTP API has neither a user nor a query: bindgate is let in by its address, see api_permissions")
	}
	return nil
}

// New makes a driver for the API at a URL that CheckURL has let through.
func New(apiURL string) *Driver {
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 32, MaxConnsPerHost: 32, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 5 * time.Second,
	}
	return &Driver{url: strings.TrimSuffix(apiURL, "/") + "/", client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// CallError is what came of a call, in words.
type CallError struct {
	Command string
	Status  int    // 0: there was no answer
	Text    string // what is wrong and what to do
}

func (e *CallError) Error() string { return e.Text }

// call calls a command and reads its answer into into, which may be nil.
func (d *Driver) call(ctx context.Context, command string, args, into any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("ejabberd's API: %s: %w", command, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+command, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ejabberd's API: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := d.client.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return &CallError{command, 0, fmt.Sprintf("ejabberd's API at %s did not answer %s in time", d.url, command)}
		}
		return &CallError{command, 0, fmt.Sprintf("ejabberd's API at %s cannot be reached: %v: is ejabberd running, and is this the port of its ejabberd_http listener?", d.url, err)}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
		return d.refused(command, resp, text)
	}
	if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
		return &CallError{command, resp.StatusCode, fmt.Sprintf("%s does not answer as ejabberd's API does but with %s: api_url has to end with the path of mod_http_api, usually /api", d.url+command, said(kind, nil))}
	}
	if into == nil {
		return nil
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return &CallError{command, 0, fmt.Sprintf("ejabberd's API: the answer to %s broke off: %v", command, err)}
	case len(answer) > maxAnswer:
		return &CallError{command, resp.StatusCode, fmt.Sprintf("ejabberd's API: the answer to %s is larger than %d MiB", command, maxAnswer>>20)}
	}
	if bytes.Equal(bytes.TrimSpace(answer), []byte("null")) { // it would be read as nobody
		return &CallError{command, resp.StatusCode, fmt.Sprintf("ejabberd's API: the answer to %s is not understood: null", command)}
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return &CallError{command, resp.StatusCode, fmt.Sprintf("ejabberd's API: the answer to %s is not understood: %v", command, err)}
	}
	return nil
}

// refused puts an answer that is none into words.
func (d *Driver) refused(command string, resp *http.Response, text []byte) error {
	e := &CallError{Command: command, Status: resp.StatusCode}
	isJSON := strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json")
	switch {
	case isJSON && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden):
		e.Text = fmt.Sprintf("ejabberd's API does not let bindgate call %s; ejabberd.yml needs, with bindgate's address:\n%s", command, Permissions)
	case isJSON && strings.Contains(string(text), "unknown_command"):
		e.Text = fmt.Sprintf("ejabberd's API does not know %s: load mod_admin_extra in ejabberd.yml", command)
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode/100 == 3 || !isJSON && resp.StatusCode/100 == 4:
		e.Text = fmt.Sprintf("there is no API at %s (it answers %s): api_url has to be the URL of mod_http_api, which the ejabberd_http listener has in its request_handlers, usually as /api: mod_http_api", d.url, resp.Status)
	default:
		e.Text = fmt.Sprintf("ejabberd's API answers %s with %s: %s", command, resp.Status, said("", text))
	}
	if e.allowed() {
		return &stock.RightError{Err: e}
	}
	return e
}

// said is the beginning of what a server wrote, for operators.
func said(kind string, text []byte) string {
	if kind != "" {
		return strings.ToValidUTF8(kind[:min(len(kind), 100)], "")
	}
	line := strings.Join(strings.Fields(strings.ToValidUTF8(string(text[:min(len(text), 200)]), "")), " ")
	if line == "" {
		return "nothing"
	}
	return line
}
