package api

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"time"

	"github.com/bindgate/bindgate/store"
)

// cursors makes and reads the cursors of lists: a place, sealed for the list that it is of (path, filters and the caller's domains), so that a cursor can neither be made up
// nor used on another list. It cannot be read either: a page ends behind what was looked at, which may be an account that its reader must not know of. A list may grow and
// shrink between its pages. The key is made of the database's, so that all processes on it agree, whatever becomes of the keys of tokens.
type cursors struct{ aead cipher.AEAD }

func newCursors(shared []byte) (*cursors, error) {
	key, err := hkdf.Key(sha256.New, shared, nil, "bindgate cursors 2", sha256.Size)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &cursors{aead}, err
}

func (cs *cursors) seal(list string, place []byte) string {
	return base64.RawURLEncoding.EncodeToString(cs.aead.Seal(nil, nil, place, []byte(list)))
}

func (cs *cursors) open(list, cursor string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err == nil {
		var place []byte
		if place, err = cs.aead.Open(nil, nil, sealed, []byte(list)); err == nil {
			return place, nil
		}
	}
	return nil, failField(codeInvalidField, "cursor", "This is not a cursor of this list. Take next_cursor of the page before, with the same filters.")
}

// behind returns the place that a page begins behind, packed, as the request's cursor says; nil: at its start. What is packed is ours, since the seal is whole.
func (a *api) behind(c *call, of string) ([]byte, error) {
	cursor := url.Values(c.query).Get("cursor")
	if cursor == "" {
		return nil, nil
	}
	return a.cursors.open(of, cursor)
}

func packSession(p store.SessionPosition) []byte {
	b := append([]byte{}, p.Key[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(micros(p.EndedAt)))
	b = binary.BigEndian.AppendUint64(b, uint64(p.Generation))
	rest := byte(0)
	if p.Rest {
		rest = 1
	}
	b = append(b, rest)
	for _, text := range []string{p.Domain, p.JID} {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return append(b, p.SID...)
}

func unpackSession(b []byte) (p store.SessionPosition) {
	if len(b) < 35 { // the start
		return p
	}
	p.Key = store.Key(b[:16])
	p.EndedAt = timeOfMicros(int64(binary.BigEndian.Uint64(b[16:24])))
	p.Generation = int64(binary.BigEndian.Uint64(b[24:32]))
	p.Rest = b[32] == 1
	b = b[33:]
	for _, text := range []*string{&p.Domain, &p.JID} {
		n, width := binary.Uvarint(b)
		*text, b = string(b[width:width+int(n)]), b[width+int(n):]
	}
	p.SID = string(b)
	return p
}

func packNumber(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

func unpackNumber(b []byte) int64 {
	if len(b) != 8 { // the start
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

func packTime(t time.Time) []byte { return binary.BigEndian.AppendUint64(nil, uint64(micros(t))) }

func unpackTime(b []byte) time.Time {
	if len(b) != 8 { // the start
		return time.Time{}
	}
	return timeOfMicros(int64(binary.BigEndian.Uint64(b)))
}

// PostgreSQL's times have microseconds. 0 stands for none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeOfMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n)
}
