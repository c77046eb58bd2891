package api_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// hung is how long an answer may take before the connection counts as hung: longer than every limit of the server.
const hung = 20 * time.Second

// raw sends text on a connection of its own and reads the final answer, the one after 100 Continue.
func (s *service) raw(t *testing.T, text string) (*http.Response, []byte) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(s.url, "http://"), hung)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(hung))
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(conn, text) // the server may have answered and gone before it is through
	}()
	method, _, _ := strings.Cut(text, " ")
	in := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("no answer: %v", err)
		}
		if resp.StatusCode == http.StatusContinue {
			continue
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil && err != io.ErrUnexpectedEOF { //nolint:errorlint // as io.ReadAll returns it
			t.Fatalf("half an answer: %v after %q", err, body)
		}
		conn.Close()
		<-written
		return resp, body
	}
}

// What no well-meant client sends is answered, at once and by what is wrong with it. Code "" is what net/http says itself of what is not HTTP: it comes
// before any handler, and is a line of text.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(seeded{account: "ada@example.org", resource: "phone", generation: 1})
	auth := "Host: x\r\nAuthorization: Bearer " + s.token + "\r\n"
	put := func(headers, body string) string {
		return "PUT /v1/rules/default HTTP/1.1\r\n" + auth + headers + "\r\n" + body
	}
	get := func(target string) string { return "GET " + target + " HTTP/1.1\r\n" + auth + "\r\n" }
	const jsonBody = "Content-Type: application/json\r\n"
	sized := func(body string) string { return put(jsonBody+"Content-Length: "+strconv.Itoa(len(body))+"\r\n", body) }
	long := strings.Repeat("a", 9000)
	for name, c := range map[string]struct {
		request string
		status  int
		code    string
		field   string
	}{
		"HTTP/1.0":                      {"GET /v1/links HTTP/1.0\r\nAuthorization: Bearer " + s.token + "\r\n\r\n", 200, "ok", ""},
		"absolute target":               {get("http://example.org/v1/links"), 200, "ok", ""},
		"absolute target, no path":      {get("http://example.org"), 404, "not_found", "-"},
		"absolute target, unknown":      {get("http://example.org/x"), 404, "not_found", "-"},
		"two slashes":                   {get("//v1/links"), 404, "not_found", "-"},
		"two slashes and a host":        {get("//example.org/v1/links"), 404, "not_found", "-"},
		"slash at the end":              {get("/v1/links/"), 404, "not_found", "-"},
		"dots":                          {get("/v1/x/../links"), 404, "not_found", "-"},
		"encoded dots":                  {get("/v1/%2e%2e/v1/links"), 404, "not_found", "-"},
		"encoded slashes":               {get("/v1%2Flinks"), 404, "not_found", "-"},
		"dots in an account":            {get("/v1/accounts/..%2f..%2fetc%2fpasswd"), 422, "invalid_jid", "jid"},
		"backslashes":                   {get(`/v1\links`), 404, "not_found", "-"},
		"asterisk":                      {get("*"), 404, "not_found", "-"},
		"asterisk, options":             {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 200, "ok", ""},
		"connect":                       {"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n", 404, "not_found", "-"},
		"trace":                         {"TRACE /v1/links HTTP/1.1\r\n" + auth + "\r\n", 405, "method_not_allowed", "-"},
		"small letters":                 {"get /v1/links HTTP/1.1\r\n" + auth + "\r\n", 405, "method_not_allowed", "-"},
		"head":                          {"HEAD /v1/links HTTP/1.1\r\n" + auth + "\r\n", 200, "ok", ""},
		"head of nothing":               {"HEAD /v1/x HTTP/1.1\r\n" + auth + "\r\n", 404, "head", ""},
		"long path":                     {get("/v1/" + long), 404, "not_found", "-"},
		"long account":                  {get("/v1/accounts/" + long + "@example.org"), 422, "invalid_jid", "jid"},
		"long id":                       {get("/v1/sessions/ses_" + long), 404, "not_found", "-"},
		"long value":                    {get("/v1/sessions?q=" + long), 422, "invalid_field", "q"},
		"long name":                     {get("/v1/sessions?" + long + "=1"), 422, "unknown_field", long[:100]},
		"many parameters":               {get("/v1/sessions?" + strings.Repeat("a=&", 4000)), 422, "unknown_field", "a"},
		"path of a megabyte":            {get("/v1/accounts/" + strings.Repeat("a", 1<<20) + "@example.org"), 431, "", ""},
		"header of a megabyte":          {"GET /v1/links HTTP/1.1\r\n" + auth + "X: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", 431, "", ""},
		"ten thousand headers":          {"GET /v1/links HTTP/1.1\r\n" + auth + strings.Repeat("X: y\r\n", 10000) + "\r\n", 431, "", ""},
		"parameter twice":               {get("/v1/sessions?limit=1&limit=2"), 422, "invalid_field", "limit"},
		"parameter twice, encoded":      {get("/v1/sessions?limit=1&%6cimit=2"), 422, "invalid_field", "limit"},
		"parameter in brackets":         {get("/v1/sessions?limit[]=1"), 422, "unknown_field", "limit[]"},
		"empty parameter":               {get("/v1/sessions?account="), 422, "invalid_field", "account"},
		"parameter without a value":     {get("/v1/sessions?account"), 422, "invalid_field", "account"},
		"nothing but ampersands":        {get("/v1/sessions?&&&"), 200, "ok", ""},
		"semicolons":                    {get("/v1/sessions?limit=1;q=a"), 400, "malformed_request", "-"},
		"broken escape in the query":    {get("/v1/sessions?q=%zz"), 400, "malformed_request", "-"},
		"cut escape in the query":       {get("/v1/sessions?q=%"), 400, "malformed_request", "-"},
		"broken escape in the path":     {get("/v1/accounts/%zz"), 400, "", ""},
		"NUL in a parameter":            {get("/v1/sessions?q=%00"), 422, "invalid_field", "q"},
		"no UTF-8 in a parameter":       {get("/v1/sessions?q=%FF"), 422, "invalid_field", "q"},
		"half a pair in a parameter":    {get("/v1/sessions?q=%ED%A0%80"), 422, "invalid_field", "q"},
		"NUL in an account":             {get("/v1/accounts/ada%00@example.org"), 422, "invalid_jid", "jid"},
		"no UTF-8 in an account":        {get("/v1/accounts/%FF@example.org"), 422, "invalid_jid", "jid"},
		"half a pair in an account":     {get("/v1/accounts/%ED%A0%80@example.org"), 422, "invalid_jid", "jid"},
		"override in an account":        {get("/v1/accounts/%E2%80%AEada@example.org"), 422, "invalid_jid", "jid"},
		"override in a domain":          {get("/v1/domains/%E2%80%AEexample.org/rule"), 422, "invalid_jid", "domain"},
		"override in a group":           {get("/v1/groups/%E2%80%AEstaff/rule"), 422, "invalid_field", "group"},
		"slash in a group":              {get("/v1/groups/a%2Fb/rule"), 404, "not_found", "-"},
		"encoded twice":                 {get("/v1/accounts/ada%2540example.org"), 422, "invalid_jid", "jid"},
		"raw bytes in the path":         {get("/v1/accounts/\xff@example.org"), 422, "invalid_jid", "jid"},
		"negative limit":                {get("/v1/sessions?limit=-1"), 422, "invalid_field", "limit"},
		"no limit":                      {get("/v1/sessions?limit=0"), 422, "invalid_field", "limit"},
		"limit with a sign":             {get("/v1/sessions?limit=%2B5"), 422, "invalid_field", "limit"},
		"limit with a space":            {get("/v1/sessions?limit=+5"), 422, "invalid_field", "limit"},
		"huge limit":                    {get("/v1/sessions?limit=99999999999999999999"), 422, "invalid_field", "limit"},
		"limit in other digits":         {get("/v1/sessions?limit=%D9%A1"), 422, "invalid_field", "limit"},
		"limit with an exponent":        {get("/v1/sessions?limit=1e2"), 422, "invalid_field", "limit"},
		"forged cursor":                 {get("/v1/sessions?cursor=" + strings.Repeat("A", 64)), 422, "invalid_field", "cursor"},
		"cursor with padding":           {get("/v1/sessions?cursor=AAAA%3D%3D"), 422, "invalid_field", "cursor"},
		"cursor of one byte":            {get("/v1/decisions?cursor=AA"), 422, "invalid_field", "cursor"},
		"body on GET":                   {"GET /v1/links HTTP/1.1\r\n" + auth + jsonBody + "Content-Length: 2\r\n\r\n{}", 400, "malformed_request", "-"},
		"chunks on GET":                 {"GET /v1/links HTTP/1.1\r\n" + auth + jsonBody + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400, "malformed_request", "-"},
		"body on DELETE":                {"DELETE /v1/rules/default HTTP/1.1\r\n" + auth + jsonBody + "Content-Length: 2\r\n\r\n{}", 400, "malformed_request", "-"},
		"body on HEAD":                  {"HEAD /v1/links HTTP/1.1\r\n" + auth + "Content-Length: 2\r\n\r\n{}", 400, "head", ""},
		"chunks":                        {put(jsonBody+"Transfer-Encoding: chunked\r\n", "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"), 200, "ok", ""},
		"chunks and trailers":           {put(jsonBody+"Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n", "2\r\n{}\r\n0\r\nAuthorization: x\r\n\r\n"), 200, "ok", ""},
		"broken chunks":                 {put(jsonBody+"Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"), 400, "malformed_request", "-"},
		"chunks without an end":         {put(jsonBody+"Transfer-Encoding: chunked\r\n", strings.Repeat("1000\r\n"+strings.Repeat(" ", 0x1000)+"\r\n", 40)), 413, "body_too_large", "-"},
		"chunks nobody reads":           {strings.ReplaceAll(put("Transfer-Encoding: chunked\r\n", "5\r\n{"), "Bearer ", "Bearer x"), 401, "unauthorized", "-"},
		"other transfer encoding":       {put(jsonBody+"Transfer-Encoding: gzip\r\n", "{}"), 501, "", ""},
		"two lengths":                   {put(jsonBody+"Content-Length: 2\r\nContent-Length: 3\r\n", "{}"), 400, "", ""},
		"negative length":               {put(jsonBody+"Content-Length: -1\r\n", "{}"), 400, "", ""},
		"no length":                     {put(jsonBody, ""), 400, "malformed_request", "-"},
		"expectation":                   {put(jsonBody+"Expect: 100-continue\r\nContent-Length: 2\r\n", "{}"), 200, "ok", ""},
		"expectation, wrong type":       {put("Content-Type: text/xml\r\nExpect: 100-continue\r\nContent-Length: 2\r\n", ""), 415, "unsupported_media_type", "Content-Type"},
		"other expectation":             {put(jsonBody+"Expect: tea\r\nContent-Length: 2\r\n", "{}"), 417, "", ""},
		"form":                          {put("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n", "a=b"), 415, "unsupported_media_type", "Content-Type"},
		"type of UTF-16":                {put("Content-Type: application/json; charset=utf-16\r\nContent-Length: 2\r\n", "{}"), 415, "unsupported_media_type", "Content-Type"},
		"two types":                     {put(jsonBody+"Content-Type: text/plain\r\nContent-Length: 2\r\n", "{}"), 415, "unsupported_media_type", "Content-Type"},
		"encoded body":                  {put(jsonBody+"Content-Encoding: br\r\nContent-Length: 2\r\n", "{}"), 415, "unsupported_media_type", "Content-Encoding"},
		"a name of a megabyte":          {sized(`{"condition":"` + strings.Repeat("a", 1<<20) + `"}`), 413, "body_too_large", "-"},
		"a name of 60,000 bytes":        {sized(`{"` + strings.Repeat("a", 60000) + `":1}`), 422, "unknown_field", "long"},
		"a number of 60,000 digits":     {sized(`{"max_sessions":` + strings.Repeat("9", 60000) + `}`), 422, "invalid_field", "/max_sessions"},
		"a number with a huge exponent": {sized(`{"max_sessions":1e999999999}`), 422, "invalid_field", "/max_sessions"},
		"no host":                       {"GET /v1/links HTTP/1.1\r\n\r\n", 400, "", ""},
		"two hosts":                     {"GET /v1/links HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "", ""},
		"NUL in a header":               {"GET /v1/links HTTP/1.1\r\n" + auth + "X: \x00\r\n\r\n", 400, "", ""},
		"folded header":                 {"GET /v1/links HTTP/1.1\r\n" + auth + "X-Request-Id: a\r\n b\r\n\r\n", 200, "ok", ""},
		"no HTTP":                       {"hello\r\n\r\n", 400, "", ""},
		"HTTP/2":                        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404, "not_found", "-"},
		"HTTP/9":                        {"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505, "", ""},
		"token in the query":            {"GET /v1/links?access_token=" + s.token + " HTTP/1.1\r\nHost: x\r\n\r\n", 401, "unauthorized", "-"},
		"another method in a header":    {"GET /v1/links HTTP/1.1\r\n" + auth + "X-HTTP-Method-Override: DELETE\r\n\r\n", 200, "ok", ""},
		"another path in a header":      {"GET /v1/x HTTP/1.1\r\n" + auth + "X-Original-URL: /v1/links\r\n\r\n", 404, "not_found", "-"},
		"a dead upgrade":                {"GET /v1/links HTTP/1.1\r\n" + auth + "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 200, "ok", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, body := s.raw(t, c.request)
			if resp.StatusCode != c.status {
				t.Fatalf("%d, want %d: %s", resp.StatusCode, c.status, body)
			}
			switch c.code {
			case "", "ok":
			case "head":
				if len(body) != 0 {
					t.Errorf("a body: %q", body)
				}
			default:
				checkProblem(t, resp, body, c.code, c.field)
			}
		})
	}
}

// checkProblem wants a problem; field "-" wants none, "long" any.
func checkProblem(t *testing.T, resp *http.Response, body []byte, code, field string) {
	t.Helper()
	p := checkSentence(t, code, resp, body)
	got := "-"
	if p.Field != nil {
		got = *p.Field
	}
	if p.Code != code || got != field && field != "long" {
		t.Errorf("%s at %.200q (%s), want %s at %.200q", p.Code, got, p.Detail, code, field)
	}
}

// checkSentence wants a whole problem, which says what is wrong in a sentence.
func checkSentence(t *testing.T, what string, resp *http.Response, body []byte) (p problem) {
	t.Helper()
	if err := json.Unmarshal(body, &p); err != nil || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %d is no problem+json: %v in %.300q", what, resp.StatusCode, err, body)
		return p
	}
	if p.Type != "urn:bindgate:problem:"+p.Code || p.Code == "" || p.Title == "" || p.Status != resp.StatusCode || p.RequestID == "" {
		t.Errorf("%s: incomplete problem %.300s", what, body)
	}
	if p.Detail == "" || strings.ToUpper(p.Detail[:1]) != p.Detail[:1] || !strings.HasSuffix(p.Detail, ".") {
		t.Errorf("%s: no sentence: %q", what, p.Detail)
	}
	if invalid := p.Status == http.StatusUnprocessableEntity; invalid && p.Field == nil {
		t.Errorf("%s: no field: %s", what, body)
	}
	return p
}

// Who sends slowly is cut off, with an answer if it is clear by then what was asked for.
func TestSlowRequests(t *testing.T) {
	t.Parallel()
	s := newService(t)
	auth := "Host: x\r\nAuthorization: Bearer " + s.token + "\r\n"
	for name, text := range map[string]string{
		"body that stops":        "PUT /v1/rules/default HTTP/1.1\r\n" + auth + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
		"body that never begins": "PUT /v1/rules/default HTTP/1.1\r\n" + auth + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n",
		"huge chunk":             "PUT /v1/rules/default HTTP/1.1\r\n" + auth + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{",
		"chunk that stops":       "PUT /v1/rules/default HTTP/1.1\r\n" + auth + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, body := s.raw(t, text)
			if resp.StatusCode != http.StatusRequestTimeout {
				t.Fatalf("%d: %s", resp.StatusCode, body)
			}
			checkProblem(t, resp, body, "request_timeout", "-")
			if !resp.Close {
				t.Error("the connection is kept")
			}
		})
	}
	t.Run("headers that stop", func(t *testing.T) {
		t.Parallel()
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(hung))
		if _, err := io.WriteString(conn, "GET /v1/links HTTP/1.1\r\nHost:"); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(conn); err != nil {
			t.Errorf("it is not closed: %v after %q", err, b)
		}
	})
}

// Nothing that was refused stays behind on the connection: the next request on it is answered as itself.
func TestRefusedBodiesDoNotBecomeRequests(t *testing.T) {
	t.Parallel()
	s := newService(t)
	auth := "Host: x\r\nAuthorization: Bearer " + s.token + "\r\n"
	smuggled := "DELETE /v1/rules/default HTTP/1.1\r\n" + auth + "\r\n"
	s.do("PUT", "/v1/rules/default", `{"max_sessions":7}`).ok(200, nil)
	for _, first := range []string{"GET /v1/links", "PUT /v1/rules/default", "POST /v1/nothing", "TRACE /v1/links"} {
		s.raw(t, first+" HTTP/1.1\r\n"+auth+"Content-Type: text/plain\r\nContent-Length: "+strconv.Itoa(len(smuggled))+"\r\n\r\n"+smuggled+"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	if b := s.get("/v1/rules/default").ok(200, nil).body; !strings.Contains(string(b), "7") {
		t.Errorf("a refused body was carried out: %s", b)
	}
}
