package xmppbridge

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// ticketLife is how long a command may wait for its next step.
const ticketLife = 10 * time.Minute

// tickets makes the session ids of commands (XEP-0050 §3.3). An id holds its own end and a MAC over it, the command and the full address it was made for: nothing is
// kept, nobody else can use it, and all of them end with the process. What a command acts on is read when it acts.
type tickets struct{ key [32]byte }

func newTickets() *tickets {
	t := &tickets{}
	_, _ = rand.Read(t.key[:]) // never fails
	return t
}

// The parts of a ticket, in bytes.
const (
	ticketEnd   = 8 // Unix time, seconds
	ticketNonce = 4
	ticketMAC   = 16
	ticketSize  = ticketEnd + ticketNonce + ticketMAC
)

// issue makes an id for a command that an address has begun.
func (t *tickets) issue(node, jid string, now time.Time) string {
	b := make([]byte, ticketEnd+ticketNonce, ticketSize)
	binary.BigEndian.PutUint64(b, uint64(now.Add(ticketLife).Unix()))
	_, _ = rand.Read(b[ticketEnd:])
	return base64.RawURLEncoding.EncodeToString(append(b, t.mac(b, node, jid)...))
}

// check says whether an id was made for this command and address, and whether its time is over.
func (t *tickets) check(id, node, jid string, now time.Time) (ours, expired bool) {
	if len(id) != base64.RawURLEncoding.EncodedLen(ticketSize) {
		return false, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || subtle.ConstantTimeCompare(b[ticketEnd+ticketNonce:], t.mac(b[:ticketEnd+ticketNonce], node, jid)) != 1 {
		return false, false
	}
	return true, now.Unix() >= int64(binary.BigEndian.Uint64(b))
}

func (t *tickets) mac(head []byte, node, jid string) []byte {
	h := hmac.New(sha256.New, t.key[:])
	h.Write(head)
	h.Write([]byte(node + "\x00" + jid)) // XML has no NUL
	return h.Sum(nil)[:ticketMAC]
}
