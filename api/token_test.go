package api_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/internal/keyring"
)

// signers are the private halves of the keys that a service knows.
type signers struct {
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
	ed  ed25519.PrivateKey
	pem []byte // the public halves
}

func newSigners(t *testing.T) signers {
	t.Helper()
	var s signers
	var err error
	if s.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if s.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, s.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	for _, k := range []crypto.Signer{s.rsa, s.ec, s.ed} {
		der, err := x509.MarshalPKIXPublicKey(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		s.pem = append(s.pem, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
	}
	return s
}

// withKeys makes a service that takes tokens by what the files and the URL have. The ring runs as long as the test.
func withKeys(t *testing.T, cfg keyring.Config) func(*api.Config) {
	t.Helper()
	ring, err := keyring.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- ring.Run(t.Context()) }() // which ends before the cleanups
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func(c *api.Config) { c.Keys = ring }
}

func keyFile(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// raw is a token made by hand: its first two parts as they are.
func raw(t *testing.T, method jwt.SigningMethod, key any, head, body string) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString([]byte(body))
	sig, err := method.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func plainClaims() jwt.MapClaims {
	return jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix(), "scope": "sessions:read"}
}

func TestTokensByPublicKeys(t *testing.T) {
	t.Parallel()
	k := newSigners(t)
	s := newService(t, withKeys(t, keyring.Config{SecretFile: keyFile(t, secret), PublicKeyFile: keyFile(t, k.pem)}))
	only := newService(t, withKeys(t, keyring.Config{PublicKeyFile: keyFile(t, k.pem)}))
	der, _ := x509.MarshalPKIXPublicKey(k.rsa.Public())
	hs := jwt.SigningMethodHS256
	good := func(on *service, what, token string) {
		t.Helper()
		if r := on.get("/v1/sessions", as(token)); r.status != http.StatusOK {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
	bad := func(on *service, what, token string) {
		t.Helper()
		if p := on.get("/v1/sessions", as(token)).fails(401, "unauthorized", "-"); !strings.Contains(p.Detail, "signature") {
			t.Errorf("%s: %s", what, p.Detail)
		}
	}
	for _, on := range []*service{s, only} {
		good(on, "RS256", signed(t, jwt.SigningMethodRS256, k.rsa, plainClaims()))
		good(on, "ES256", signed(t, jwt.SigningMethodES256, k.ec, plainClaims()))
		good(on, "EdDSA", signed(t, jwt.SigningMethodEdDSA, k.ed, plainClaims()))
		bad(on, "RS512", signed(t, jwt.SigningMethodRS512, k.rsa, plainClaims()))
		bad(on, "PS256", signed(t, jwt.SigningMethodPS256, k.rsa, plainClaims()))
		bad(on, "none", signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, plainClaims()))
		// what is public is no secret, in whatever form it is tried as one
		for what, key := range map[string][]byte{
			"the file": k.pem, "its first block": k.pem[:strings.Index(string(k.pem), "-----END")], "DER": der, "the modulus": k.rsa.N.Bytes(),
			"the Ed25519 key": k.ed.Public().(ed25519.PublicKey), "nothing": {},
		} {
			bad(on, "HS256 with "+what, signed(t, hs, key, plainClaims()))
		}
	}
	good(s, "HS256", signed(t, hs, []byte(secret), plainClaims()))
	bad(only, "HS256 where there is no secret", signed(t, hs, []byte(secret), plainClaims()))
	other := newSigners(t)
	bad(s, "another RSA key", signed(t, jwt.SigningMethodRS256, other.rsa, plainClaims()))
	bad(s, "another EC key", signed(t, jwt.SigningMethodES256, other.ec, plainClaims()))
	bad(s, "another Ed25519 key", signed(t, jwt.SigningMethodEdDSA, other.ed, plainClaims()))

	// a token's own word about keys is not taken, and nobody is asked for any
	var asked atomic.Int64
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(evil.Close)
	own, err := json.Marshal(jose.JSONWebKey{Key: other.rsa.Public(), KeyID: "evil"})
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{`"jwk":` + string(own), `"jku":"` + evil.URL + `"`, `"x5u":"` + evil.URL + `"`, `"x5c":["` + base64.StdEncoding.EncodeToString(der) + `"]`} {
		body, _ := json.Marshal(plainClaims())
		bad(s, member, raw(t, jwt.SigningMethodRS256, other.rsa, `{"alg":"RS256","kid":"evil",`+member+`}`, string(body)))
		good(s, member, raw(t, jwt.SigningMethodRS256, k.rsa, `{"alg":"RS256","kid":"evil",`+member+`}`, string(body)))
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("a token had bindgate ask for its keys %d times", n)
	}
}

func TestTokensByASet(t *testing.T) {
	t.Parallel()
	k, next := newSigners(t), newSigners(t)
	var set atomic.Pointer[string]
	publish := func(keys ...jose.JSONWebKey) {
		b, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		set.Store(new(string(b)))
	}
	publish(jose.JSONWebKey{Key: k.rsa.Public(), KeyID: "rsa", Use: "sig"}, jose.JSONWebKey{Key: k.ec.Public(), KeyID: "ec"})
	down := atomic.Bool{}
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = w.Write([]byte(*set.Load()))
	}))
	t.Cleanup(issuer.Close)
	s := newService(t, withKeys(t, keyring.Config{JWKSURL: issuer.URL}))
	token := func(method jwt.SigningMethod, key any, kid any) string {
		tok := jwt.NewWithClaims(method, plainClaims())
		if kid != nil {
			tok.Header["kid"] = kid
		}
		text, err := tok.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for what, c := range map[string]struct {
		token  string
		status int
	}{
		"its kid":              {token(jwt.SigningMethodRS256, k.rsa, "rsa"), 200},
		"no kid":               {token(jwt.SigningMethodES256, k.ec, nil), 200},
		"another key's kid":    {token(jwt.SigningMethodRS256, k.rsa, "ec"), 401},
		"a kid that is none":   {token(jwt.SigningMethodRS256, k.rsa, "nobody"), 401},
		"a path":               {token(jwt.SigningMethodHS256, []byte{}, "../../../../../../dev/null"), 401},
		"a path, signed right": {token(jwt.SigningMethodRS256, k.rsa, "../../../rsa"), 401},
		"SQL":                  {token(jwt.SigningMethodHS256, []byte("secret"), "x' union select 'secret"), 401},
		"a number":             {token(jwt.SigningMethodRS256, k.rsa, 7), 401},
		"an object":            {token(jwt.SigningMethodRS256, k.rsa, map[string]any{"a": 1}), 401},
		"long":                 {token(jwt.SigningMethodRS256, k.rsa, strings.Repeat("k", 257)), 401},
		"HS256 with the set":   {token(jwt.SigningMethodHS256, []byte(*set.Load()), "rsa"), 401},
		"the next key":         {token(jwt.SigningMethodES256, next.ec, "next"), 401},
	} {
		if r := s.get("/v1/sessions", as(c.token)); r.status != c.status {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
	down.Store(true)
	s.get("/v1/sessions", as(token(jwt.SigningMethodRS256, k.rsa, "rsa"))).ok(200, nil) // what is known is used while the issuer is away

	away := newService(t, withKeys(t, keyring.Config{JWKSURL: issuer.URL}))
	r := away.get("/v1/sessions", as(token(jwt.SigningMethodRS256, k.rsa, "rsa")))
	r.fails(503, "unavailable", "-")
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// A secret takes over from another without a restart, and cursors outlive it.
func TestSecretsRotate(t *testing.T) {
	t.Parallel()
	path := keyFile(t, []byte("old-old-old-old-old-old-old-old-old\n"))
	s := newService(t, withKeys(t, keyring.Config{SecretFile: path}))
	s.seed(seeded{account: "ada@example.org", resource: "a", generation: 1}, seeded{account: "ada@example.org", resource: "b", generation: 2})
	by := func(key string) option { return as(signed(t, jwt.SigningMethodHS256, []byte(key), plainClaims())) }
	const older, newer = "old-old-old-old-old-old-old-old-old", "new-new-new-new-new-new-new-new-new"
	var page struct {
		Next string `json:"next_cursor"`
	}
	s.get("/v1/sessions?limit=1", by(older)).ok(200, &page)
	s.get("/v1/sessions", by(newer)).fails(401, "unauthorized", "-")
	put := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(older + "\n" + newer + "\n")
	eventually(t, "the new secret is known", func() bool { return s.get("/v1/sessions", by(newer)).status == 200 })
	s.get("/v1/sessions", by(older)).ok(200, nil)
	put(newer + "\n")
	eventually(t, "the old secret is forgotten", func() bool { return s.get("/v1/sessions", by(older)).status == 401 })
	s.get("/v1/sessions?limit=1&cursor="+page.Next, by(newer)).ok(200, nil)
}

func TestTokensMadeByHand(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(seeded{account: "ada@example.org", resource: "a", generation: 1})
	exp := time.Now().Add(time.Hour).Unix()
	const head = `{"alg":"HS256","typ":"JWT"}`
	body := func(more string) string { return fmt.Sprintf(`{"exp":%d,"scope":"sessions:read"%s}`, exp, more) }
	token := func(head, body string) string { return raw(t, jwt.SigningMethodHS256, []byte(secret), head, body) }
	whole := token(head, body(""))
	for what, c := range map[string]struct {
		token string
		says  string // "": it is good
	}{
		"good":                    {whole, ""},
		"RFC 9068":                {token(`{"alg":"HS256","typ":"at+jwt"}`, body("")), ""},
		"its long form":           {token(`{"alg":"HS256","typ":"application/AT+JWT"}`, body("")), ""},
		"no typ":                  {token(`{"alg":"HS256"}`, body("")), ""},
		"a kid that is a path":    {token(`{"alg":"HS256","kid":"../../etc/passwd"}`, body("")), ""}, // nothing is looked up by it
		"unknown claims":          {token(head, body(`,"jti":"x","roles":["admin"],"Scope":"admin","DOMAINS":["none.example"]`)), ""},
		"domains by their name":   {token(head, body(`,"Domains":7`)), ""},
		"crit":                    {token(`{"alg":"HS256","crit":["exp"]}`, body("")), "crit"},
		"crit and b64":            {token(`{"alg":"HS256","b64":false,"crit":["b64"]}`, body("")), "crit"},
		"crit is empty":           {token(`{"alg":"HS256","crit":[]}`, body("")), "crit"},
		"a logout token":          {token(`{"alg":"HS256","typ":"logout+jwt"}`, body("")), "typ"},
		"a proof of possession":   {token(`{"alg":"HS256","typ":"dpop+jwt"}`, body("")), "typ"},
		"typ is a number":         {token(`{"alg":"HS256","typ":1}`, body("")), "typ"},
		"alg is a list":           {token(`{"alg":["HS256"]}`, body("")), "alg"},
		"alg in small letters":    {token(`{"alg":"hs256"}`, body("")), "signature"},
		"two algs":                {token(`{"alg":"none","alg":"HS256"}`, body("")), `"alg" is there twice`},
		"header is a list":        {token(`[]`, body("")), "cannot be read"},
		"header is null":          {token(`null`, body("")), "cannot be read"},
		"header is two":           {token(head+head, body("")), "cannot be read"},
		"header is not UTF-8":     {token("{\"alg\":\"HS256\",\"x\":\"\xff\"}", body("")), "cannot be read"},
		"a claim twice":           {token(head, body(`,"scope":"admin"`)), `"scope" is there twice`},
		"a claim twice, escaped":  {token(head, body(`,"\u0064omains":["a.example"],"domains":["example.org"]`)), `"domains" is there twice`},
		"claims are text":         {token(head, `"exp"`), "cannot be read"},
		"a token in a token":      {token(`{"alg":"HS256","cty":"JWT"}`, whole), "cannot be read"},
		"half a surrogate pair":   {token(head, body(`,"sub":"\ud800"`)), "surrogate"},
		"deep":                    {token(head, body(`,"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100))), "nested"},
		"exp in milliseconds":     {token(head, fmt.Sprintf(`{"exp":%d000,"scope":"sessions:read"}`, exp)), "seconds"},
		"exp is huge":             {token(head, `{"exp":1e300,"scope":"sessions:read"}`), "seconds"},
		"exp is too huge":         {token(head, `{"exp":1e999,"scope":"sessions:read"}`), "claim exp"},
		"exp is negative":         {token(head, `{"exp":-1,"scope":"sessions:read"}`), "seconds"},
		"exp in quotes":           {token(head, fmt.Sprintf(`{"exp":"%d","scope":"sessions:read"}`, exp)), "claim exp"},
		"exp is null":             {token(head, `{"exp":null,"scope":"sessions:read"}`), "claim exp is null"},
		"EXP":                     {token(head, fmt.Sprintf(`{"EXP":%d,"scope":"sessions:read"}`, exp)), "lacks"},
		"nbf in the future":       {token(head, body(fmt.Sprintf(`,"nbf":%d`, exp))), "not valid yet"},
		"aud holds a number":      {token(head, body(`,"aud":["bindgate",7]`)), "claim aud"},
		"domains is null":         {token(head, body(`,"domains":null`)), "claim domains is null"},
		"domains is an object":    {token(head, body(`,"domains":{}`)), "claim domains"},
		"domains is true":         {token(head, body(`,"domains":true`)), "claim domains"},
		"domains holds null":      {token(head, body(`,"domains":[null]`)), "claim domains"},
		"domains holds a list":    {token(head, body(`,"domains":[["example.org"]]`)), "claim domains"},
		"domains holds a pattern": {token(head, body(`,"domains":["a@b"]`)), "claim domains"},
		"scope is null":           {token(head, body("")[:len(body(""))-len(`"sessions:read"}`)]+`null}`), "claim scope is null"},
		"too long":                {token(head, body(`,"x":"`+strings.Repeat("x", 8<<10)+`"`)), "longer than 8192"},
		"no signature":            {whole[:strings.LastIndexByte(whole, '.')+1], "signature"},
		"two parts":               {whole[:strings.LastIndexByte(whole, '.')], "cannot be read"},
		"four parts":              {whole + ".", "cannot be read"},
		"JWE":                     {whole + ".a.b", "cannot be read"},
		"padded":                  {whole + "=", "cannot be read"},
		"in standard base64":      {strings.NewReplacer("-", "+", "_", "/").Replace(token(head, body(`,"x":"ÿÿÿ???>>>"`))), "cannot be read"},
		"dots":                    {"..", "cannot be read"},
	} {
		r := s.get("/v1/sessions", as(c.token))
		if c.says == "" {
			if r.status != 200 || !strings.Contains(string(r.body), "ada@example.org") {
				t.Errorf("%s: %d %s", what, r.status, r.body)
			}
			continue
		}
		if p := r.fails(401, "unauthorized", "-"); !strings.Contains(p.Detail, c.says) {
			t.Errorf("%s: %q, want %q in it", what, p.Detail, c.says)
		}
	}
	for what, domains := range map[string]string{"an empty list": `[]`, "an empty string": `""`, "spaces": `"  "`} {
		r := s.get("/v1/sessions", as(token(head, body(`,"domains":`+domains))))
		if r.ok(200, nil); strings.Contains(string(r.body), "ada@") {
			t.Errorf("%s of domains sees %s", what, r.body)
		}
		s.get("/v1/accounts/ada@example.org", as(token(head, body(`,"domains":`+domains)))).fails(404, "not_found", "-")
	}

	// headers altogether are the server's affair
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v1/sessions", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.Repeat("x", 100_000))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("100 kB of token: %s", resp.Status)
	}
}

// An HMAC over a token whose last bits differ is not that token.
func TestSignaturesAreExact(t *testing.T) {
	t.Parallel()
	s := newService(t)
	good := signed(t, jwt.SigningMethodHS256, []byte(secret), plainClaims())
	at := strings.LastIndexByte(good, '.')
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(good[:at]))
	sum := mac.Sum(nil)
	for _, cut := range []int{0, 1, 16, 31} {
		s.get("/v1/sessions", as(good[:at+1]+base64.RawURLEncoding.EncodeToString(sum[:cut]))).fails(401, "unauthorized", "-")
	}
	last := good[len(good)-1]
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		if c != last {
			s.get("/v1/sessions", as(good[:len(good)-1]+string(c))).fails(401, "unauthorized", "-")
		}
	}
	s.get("/v1/sessions", as(good)).ok(200, nil)
}

// A token that was good is read once, and checked each time.
func TestAGoodTokenExpires(t *testing.T) {
	t.Parallel()
	s := newService(t)
	claims := plainClaims()
	claims["exp"] = time.Now().Add(2 * time.Second).Unix()
	token := signed(t, jwt.SigningMethodHS256, []byte(secret), claims)
	for range 2 {
		s.get("/v1/sessions", as(token)).ok(200, nil)
	}
	s.get("/v1/sessions", as(token[:len(token)-2]+"AA")).fails(401, "unauthorized", "-")
	eventually(t, "it has expired", func() bool { return s.get("/v1/sessions", as(token)).status == 401 })
}
