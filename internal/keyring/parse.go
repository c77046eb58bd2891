package keyring

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
)

// What a source may hold: a token without a key id is tried with every key of its algorithm.
const (
	maxFileKeys = 16
	maxSetKeys  = 64
)

// The sizes of RSA keys: fewer bits are not safe (RFC 7518 §3.3), more take a processor long.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// ParseSecrets reads shared secrets, one a line, empty lines left out. The first signs what is signed here; all are good for checking, so that one
// takes over from another without a moment in between: put the new one below, then first, then remove the old one.
func ParseSecrets(text []byte) ([]string, error) {
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return nil, errors.New("it is not text: it has to hold a secret on a line, such as openssl rand -hex 32 prints")
	}
	var secrets []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			secrets = append(secrets, line)
		}
	}
	switch n := len(secrets); {
	case n == 0:
		return nil, errors.New("it is empty: it has to hold a secret on a line, such as openssl rand -hex 32 prints")
	case n > maxFileKeys:
		return nil, fmt.Errorf("it has %d secrets: at most %d lines, the first one signs", n, maxFileKeys)
	}
	return secrets, nil
}

func secretKeys(text []byte) ([]Key, error) {
	secrets, err := ParseSecrets(text)
	keys := make([]Key, len(secrets))
	for i, s := range secrets {
		keys[i] = Key{Alg: HS256, Material: []byte(s)}
	}
	return keys, err
}

// ParsePEM reads public keys (RFC 7468): blocks PUBLIC KEY, RSA PUBLIC KEY and CERTIFICATE. Of a certificate only its key counts, neither its dates
// nor who signed it. Every block has to be of use.
func ParsePEM(text []byte) ([]Key, error) {
	var keys []Key
	for n := 1; ; n++ {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		if text = rest; n > maxFileKeys {
			return nil, fmt.Errorf("it has more than %d keys", maxFileKeys)
		}
		material, err := publicKey(block)
		if err != nil {
			return nil, fmt.Errorf("block %d, %s: %w", n, block.Type, err)
		}
		alg, err := algorithm(material)
		if err != nil {
			return nil, fmt.Errorf("block %d, %s: %w", n, block.Type, err)
		}
		keys = append(keys, Key{Alg: alg, Material: material})
	}
	switch {
	case len(keys) == 0:
		return nil, errors.New("it has no PEM block: it has to hold -----BEGIN PUBLIC KEY----- and so on")
	case len(bytes.TrimSpace(text)) > 0 && bytes.Contains(text, []byte("-----BEGIN")):
		return nil, fmt.Errorf("what follows block %d is not whole", len(keys))
	}
	return keys, nil
}

func publicKey(block *pem.Block) (any, error) {
	switch {
	case block.Type == "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case block.Type == "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, errors.New("a private key does not belong here: give its public half (openssl pkey -pubout)")
	}
	return nil, errors.New("not a public key: PUBLIC KEY, RSA PUBLIC KEY and CERTIFICATE are")
}

// algorithm is the one that a public key is used with.
func algorithm(material any) (string, error) {
	switch k := material.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return "", fmt.Errorf("an RSA key of %d bits: it must have %d to %d", bits, minRSABits, maxRSABits)
		}
		return RS256, nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return "", fmt.Errorf("an EC key on %s: it must be on P-256", k.Curve.Params().Name)
		}
		return ES256, nil
	case ed25519.PublicKey:
		return EdDSA, nil
	}
	return "", fmt.Errorf("a %T: it must be RSA, EC on P-256, or Ed25519", material)
}

// parseSet reads a JWK Set (RFC 7517 §5). Members that are of no use here, as of other types, for encryption or for another algorithm, are left out;
// unused says why, so that whoever has none left can be told.
func parseSet(text []byte) (keys []Key, unused []string, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, nil, fmt.Errorf("not a JWK Set: %w", err)
	}
	if len(set.Keys) > maxSetKeys {
		return nil, nil, fmt.Errorf("a JWK Set of %d keys: at most %d are taken", len(set.Keys), maxSetKeys)
	}
	for i, raw := range set.Keys {
		k, err := parseJWK(raw)
		if err != nil {
			unused = append(unused, fmt.Sprintf("key %d: %v", i+1, err))
			continue
		}
		keys = append(keys, k)
	}
	return keys, unused, nil
}

func parseJWK(raw []byte) (Key, error) {
	var use struct {
		Ops []string `json:"key_ops"`
	}
	var k jose.JSONWebKey
	if err := errors.Join(json.Unmarshal(raw, &k), json.Unmarshal(raw, &use)); err != nil {
		return Key{}, err
	}
	if !k.IsPublic() { // a set is open to everyone: what signs does not belong there, and a secret in it is none
		return Key{}, errors.New("not a public key")
	}
	alg, err := algorithm(k.Key)
	switch {
	case err != nil:
		return Key{}, err
	case k.Use != "" && k.Use != "sig":
		return Key{}, fmt.Errorf("its use is %q, not sig", k.Use)
	case use.Ops != nil && !slices.Contains(use.Ops, "verify"):
		return Key{}, errors.New("its key_ops are without verify")
	case k.Algorithm != "" && k.Algorithm != alg && (alg != EdDSA || k.Algorithm != "Ed25519"): // RFC 9864 §2.2
		return Key{}, fmt.Errorf("its alg is %q, not %s", k.Algorithm, alg)
	case len(k.KeyID) > maxKeyID:
		return Key{}, fmt.Errorf("its kid is longer than %d bytes", maxKeyID)
	}
	return Key{ID: k.KeyID, Alg: alg, Material: k.Key}, nil
}

// maxKeyID bounds key ids, in bytes.
const maxKeyID = 256
