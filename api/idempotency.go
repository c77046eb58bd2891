package api

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/bindgate/bindgate/store"
)

// A request that changes something may bring an Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): however often it comes with one key, it is carried
// out once, and every attempt gets the one answer.
//
//   - The key is the caller's own: its hash goes over the token's issuer, subject and domains too (of a user of the dashboard: over the user's number, which is never another's). Tokens
//     without a subject share one room for keys.
//   - Only answers of requests that were carried out are kept. One that was refused has changed nothing, and its key is free.
//   - What is kept is sealed with a key made of the caller's, of which the record has the hash alone.
//   - The change writes the claim on the key in its own transaction (store.Claim). An attempt that dies between the change and its answer has made the change,
//     and the next one goes on from there; an attempt that comes late, or was given up, changes nothing.
const (
	headerIdempotencyKey      = "Idempotency-Key"
	headerIdempotencyReplayed = "Idempotency-Replayed"

	maxIdempotencyKey = 255
	claimLease        = requestTimeout + 5*time.Second // an attempt that takes longer is dead
	keepTimeout       = 2 * time.Second
)

// readings are the routes that change nothing though their method could: a key has nothing to do there, and an old answer would be a wrong one.
var readings = []string{"/v1/decisions/evaluate", "/v1/rules/preview", "/v1/kicks/preview", "/v1/accounts/:jid/verify", "/v1/sessions/lookup"}

// changes reports whether the route changes anything.
func (r route) changes() bool {
	return r.method != http.MethodGet && !slices.Contains(readings, r.path)
}

// once carries out a request that has an Idempotency-Key.
func (a *api) once(r route, c *call) error {
	key, err := idempotencyKey(c.Request().Header.Values(headerIdempotencyKey))
	if err != nil {
		return err
	}
	body, whole := bufferBody(c.Request())
	if !r.changes() || !whole { // the handler says what is wrong with the body
		return r.handle(a, c)
	}
	s, err := newSeal(c.caller, key)
	if err != nil {
		return fmt.Errorf("idempotency key: %w", err)
	}
	claim, err := a.store.ClaimKey(c.ctx, s.hash, fingerprint(c.Request(), body), c.named(r), claimLease)
	if err != nil {
		return err
	}
	if claim.Answer != nil {
		kept, err := s.open(claim.Answer)
		if err != nil {
			return fmt.Errorf("a kept answer: %w", err)
		}
		c.Response().Header().Set(headerIdempotencyReplayed, "true")
		return kept.write(c)
	}
	claim.Seed = a.seed(s, claim)
	c.claim = claim
	return a.carryOut(r, c, s)
}

// seed is what the secrets in a request's answer are derived from. A caller's key may be one that others know or can guess, as 1, 2, 3 can, so the database's key
// goes into it; and the time of the claim's, so that the key makes other secrets when it stands for another request.
func (a *api) seed(s seal, claim *store.Claim) []byte {
	mac := hmac.New(sha256.New, a.seeds)
	mac.Write(s.hash)
	mac.Write(s.seed)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(claim.Since.UnixMicro())))
	return mac.Sum(nil)
}

// carryOut runs the handler, and keeps its answer before anybody gets it.
func (a *api) carryOut(r route, c *call, s seal) error {
	kept := false
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), claimLease)
	defer cancel()
	defer func() {
		if kept {
			return
		}
		if err := a.store.FreeKey(ctx, c.claim); err != nil { // it is free when its lease ends
			a.log.WarnContext(ctx, "an idempotency key could not be freed", "error", err)
		}
	}()
	response := c.Response()
	rec := &recorder{header: response.Header()}
	c.SetResponse(echo.NewResponse(rec, c.Echo()))
	err := func() error {
		defer c.SetResponse(response)
		return r.handle(a, c)
	}()
	if err != nil || rec.status >= http.StatusBadRequest {
		return err
	}
	kept = true
	answer := rec.answer()
	sealed, err := s.shut(answer)
	if err != nil {
		return fmt.Errorf("seal an answer: %w", err)
	}
	keep, done := context.WithTimeout(ctx, keepTimeout)
	defer done()
	if err := a.store.KeepAnswer(keep, c.claim, sealed); err != nil { // it is done all the same, and an attempt that comes again finds so
		a.log.WarnContext(ctx, "an answer could not be kept for its idempotency key", "error", err)
	}
	return answer.write(c)
}

func idempotencyKey(values []string) (string, error) {
	ok := len(values) == 1 && len(values[0]) >= 1 && len(values[0]) <= maxIdempotencyKey
	if ok {
		for _, b := range []byte(values[0]) {
			ok = ok && b >= ' ' && b <= '~'
		}
	}
	if !ok {
		return "", failField(codeInvalidField, headerIdempotencyKey, fmt.Sprintf("This must be given once: 1 to %d printable ASCII characters, such as a random UUID.", maxIdempotencyKey))
	}
	return values[0], nil
}

// bufferBody reads the body so that it can be read again; whole: it is not too long and came to its end.
func bufferBody(r *http.Request) (body []byte, whole bool) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
		return nil, false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, true
}

// fingerprint tells requests apart, but not two ways to escape one path.
func fingerprint(r *http.Request, body []byte) []byte {
	texts := []string{r.Method, r.URL.RawQuery, string(body), strings.Join(r.Header.Values("If-Match"), ","), strings.Join(r.Header.Values("If-None-Match"), ",")}
	for piece := range strings.SplitSeq(r.URL.EscapedPath(), "/") {
		plain, err := url.PathUnescape(piece)
		if err != nil {
			plain = piece // cannot be: net/http has parsed the path already
		}
		texts = append(texts, plain)
	}
	return digest(texts...)
}

// digest hashes texts so that no two lists of them run together.
func digest(texts ...string) []byte {
	h := sha256.New()
	for _, t := range texts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(t)))
		h.Write(n[:])
		h.Write([]byte(t))
	}
	return h.Sum(nil)
}

// named is the account that the path names, whose erasure takes the kept answer along. An erasure's own answer names nobody and stays.
func (c *call) named(r route) *store.Key {
	if r.method == http.MethodDelete && r.path == pathAccount {
		return nil
	}
	if acc, err := parseAccount("jid", c.pathParam("jid")); err == nil {
		return &acc.key
	}
	if key, _, err := store.ParseSessionID(c.pathParam("id")); err == nil {
		return &key
	}
	return nil
}

// seal is what follows from an Idempotency-Key and its caller.
type seal struct {
	hash []byte // names the key in the record
	seed []byte // known to the key's holder alone: goes into what is secret in answers
	aead cipher.AEAD
}

func newSeal(who *caller, key string) (s seal, err error) {
	room := []string{who.issuer, who.subject, key}
	if who.user != 0 {
		room[1] = strconv.FormatInt(who.user, 10)
	}
	if who.domains != nil {
		domains := slices.Clone(who.domains)
		slices.Sort(domains)
		room = append(room, "domains")
		room = append(room, slices.Compact(domains)...)
	}
	s.hash = digest(room...)
	if s.seed, err = hkdf.Key(sha256.New, []byte(key), s.hash, "bindgate idempotency seed 1", sha256.Size); err != nil {
		return s, err
	}
	secret, err := hkdf.Key(sha256.New, []byte(key), s.hash, "bindgate idempotency answer 1", sha256.Size)
	if err != nil {
		return s, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return s, err
	}
	s.aead, err = cipher.NewGCMWithRandomNonce(block)
	return s, err
}

func (s seal) shut(k keptAnswer) ([]byte, error) {
	b, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	return s.aead.Seal(nil, nil, b, s.hash), nil
}

func (s seal) open(sealed []byte) (k keptAnswer, err error) {
	b, err := s.aead.Open(nil, nil, sealed, s.hash)
	if err != nil {
		return k, err
	}
	return k, json.Unmarshal(b, &k)
}

// keptHeaders are the headers that belong to an answer, and not to the attempt.
var keptHeaders = []string{"Content-Type", "ETag", "Location"}

// keptAnswer is an answer that later attempts get too.
type keptAnswer struct {
	Status int               `json:"status"`
	Header map[string]string `json:"header"`
	Body   []byte            `json:"body"`
}

func (k keptAnswer) write(c *call) error {
	h := c.Response().Header()
	for name, value := range k.Header {
		h.Set(name, value)
	}
	c.Response().WriteHeader(k.Status)
	if len(k.Body) == 0 {
		return nil
	}
	_, err := c.Response().Write(k.Body)
	return err
}

// recorder takes an answer down.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) { r.status = status }

func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

func (r *recorder) answer() keptAnswer {
	k := keptAnswer{Status: r.status, Header: map[string]string{}, Body: r.body.Bytes()}
	for _, name := range keptHeaders {
		if v := r.header.Get(name); v != "" {
			k.Header[name] = v
		}
	}
	return k
}
