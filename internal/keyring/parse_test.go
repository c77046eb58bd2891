package keyring

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// pairs are private keys, made once: RSA keys take long.
var pairs = sync.OnceValue(func() (p struct {
	rsa, small *rsa.PrivateKey
	ec, ec384  *ecdsa.PrivateKey
	ed         ed25519.PrivateKey
},
) {
	p.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	p.small, _ = rsa.GenerateKey(rand.Reader, 1024)
	p.ec, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p.ec384, _ = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, p.ed, _ = ed25519.GenerateKey(rand.Reader)
	return p
})

func publicPEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func algorithms(keys []Key) (algs []string) {
	for _, k := range keys {
		algs = append(algs, k.Alg)
	}
	return algs
}

func TestPEM(t *testing.T) {
	t.Parallel()
	p := pairs()
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "id.example.org"}, NotAfter: time.Now().Add(-time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, p.ec.Public(), p.ec)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(p.ed)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, ec, ed := publicPEM(t, p.rsa.Public()), publicPEM(t, p.ec.Public()), publicPEM(t, p.ed.Public())
	for name, c := range map[string]struct {
		text string
		algs []string
		says string
	}{
		"one":                 {rsaKey, []string{RS256}, ""},
		"several, with words": {"# current\n" + rsaKey + "# next\n" + ec + ed, []string{RS256, ES256, EdDSA}, ""},
		"PKCS #1":             {block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&p.rsa.PublicKey)), []string{RS256}, ""},
		"an old certificate":  {block("CERTIFICATE", cert), []string{ES256}, ""},
		"empty":               {"", nil, "no PEM block"},
		"not PEM":             {"ssh-ed25519 AAAA", nil, "no PEM block"},
		"a private key":       {ec + block("PRIVATE KEY", pkcs8), nil, "block 2, PRIVATE KEY: a private key does not belong here"},
		"an EC private key":   {block("EC PRIVATE KEY", pkcs8), nil, "a private key does not belong here"},
		"small RSA":           {publicPEM(t, p.small.Public()), nil, "1024 bits: it must have 2048"},
		"another curve":       {publicPEM(t, p.ec384.Public()), nil, "on P-384: it must be on P-256"},
		"another thing":       {block("X509 CRL", []byte("x")), nil, "not a public key"},
		"broken":              {block("PUBLIC KEY", []byte("x")), nil, "block 1, PUBLIC KEY: "},
		"cut off":             {ec + ed[:60], nil, "what follows block 1 is not whole"},
		"too many":            {strings.Repeat(ed, 17), nil, "more than 16 keys"},
	} {
		keys, err := ParsePEM([]byte(c.text))
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want %q in it", name, err, c.says)
			}
			continue
		}
		if got := algorithms(keys); err != nil || !slices.Equal(got, c.algs) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.algs)
		}
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"one":                {"one"},
		"one\n":              {"one"},
		"one\r\n\r\ntwo\r\n": {"one", "two"},
		" a b \nc":           {" a b ", "c"},
	} {
		if got, err := ParseSecrets([]byte(text)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	for text, says := range map[string]string{"": "empty", "\n\n": "empty", "a\x00b": "not text", "\xff": "not text", strings.Repeat("a\n", 17): "17 secrets: at most 16"} {
		if got, err := ParseSecrets([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %q, %v, want %q", text, got, err, says)
		}
	}
}

func jwk(t *testing.T, k jose.JSONWebKey) string {
	t.Helper()
	b, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func jwks(members ...string) string { return `{"keys":[` + strings.Join(members, ",") + `]}` }

func TestSet(t *testing.T) {
	t.Parallel()
	p := pairs()
	with := func(key any, alg, use string) string {
		return jwk(t, jose.JSONWebKey{Key: key, KeyID: "k", Algorithm: alg, Use: use})
	}
	ec := with(p.ec.Public(), "", "")
	for name, c := range map[string]struct {
		member string
		alg    string // "": left out
		says   string
	}{
		"RSA":                 {with(p.rsa.Public(), "RS256", "sig"), RS256, ""},
		"EC":                  {ec, ES256, ""},
		"Ed25519":             {with(p.ed.Public(), "EdDSA", "sig"), EdDSA, ""},
		"Ed25519 by its name": {with(p.ed.Public(), "Ed25519", ""), EdDSA, ""},
		"may verify":          {strings.TrimSuffix(ec, "}") + `,"key_ops":["verify"]}`, ES256, ""},
		"may only encrypt":    {strings.TrimSuffix(ec, "}") + `,"key_ops":["encrypt"]}`, "", "without verify"},
		"for encryption":      {with(p.rsa.Public(), "RSA-OAEP", "enc"), "", `its use is "enc"`},
		"another algorithm":   {with(p.rsa.Public(), "RS512", "sig"), "", `its alg is "RS512", not RS256`},
		"small RSA":           {with(p.small.Public(), "", ""), "", "1024 bits"},
		"another curve":       {with(p.ec384.Public(), "", ""), "", "P-384"},
		"a secret":            {with([]byte("0123456789abcdef0123456789abcdef"), "HS256", "sig"), "", "not a public key"},
		"a private key":       {with(p.ec, "", ""), "", "not a public key"},
		"another type":        {`{"kty":"OKP","crv":"X25519","x":"AAAA"}`, "", ""},
		"off the curve":       {`{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`, "", ""},
		"no object":           {`7`, "", ""},
		"a long kid":          {jwk(t, jose.JSONWebKey{Key: p.ec.Public(), KeyID: strings.Repeat("k", 257)}), "", "kid is longer"},
	} {
		keys, unused, err := parseSet([]byte(jwks(c.member, with(p.ed.Public(), "", ""))))
		want := []string{EdDSA}
		if c.alg != "" {
			want = []string{c.alg, EdDSA}
		}
		if got := algorithms(keys); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
		if c.alg == "" && (len(unused) != 1 || !strings.Contains(unused[0], c.says)) {
			t.Errorf("%s: unused %q, want %q", name, unused, c.says)
		}
	}
	for _, bad := range []string{``, `[]`, `{"keys":7}`, jwks(slices.Repeat([]string{ec}, 65)...)} {
		if _, _, err := parseSet([]byte(bad)); err == nil {
			t.Errorf("%.40s was taken", bad)
		}
	}
}

func TestKeysAreNeverPrinted(t *testing.T) {
	t.Parallel()
	k := Key{Alg: HS256, Material: []byte("hush-hush")}
	if out := fmt.Sprintf("%v %+v %#v %v", k, k, k, []Key{k}); strings.Contains(out, "hush") || strings.Contains(out, "104 117") || strings.Contains(out, "0x68") {
		t.Error(out)
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for url, good := range map[string]bool{
		"https://id.example.org/keys": true, "http://127.0.0.1:8080/keys": true, "http://localhost/keys": true, "http://[::1]:1/": true,
		"http://id.example.org/keys": false, "http://127.0.0.1.example.org/": false, "http://192.0.2.1/": false, "ftp://127.0.0.1/": false, "file:///etc/passwd": false,
		"id.example.org/keys": false, "": false, "https://user:pass@id.example.org/": false, "https:keys": false, "http://0.0.0.0/": false,
	} {
		if err := CheckURL(url); (err == nil) != good {
			t.Errorf("%q: %v", url, err)
		}
	}
}
