package store

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"strings"
	"time"
)

// Key is an account's key in the record: the first 16 bytes of SHA-256 of its bare JID as the server has it.
// It needs no look-up and spreads evenly; its first 12 bits are the account's bucket in the gate protocol.
type Key [16]byte

// KeyOf returns the key of a bare JID.
func KeyOf(bareJID string) Key {
	sum := sha256.Sum256([]byte(bareJID))
	return Key(sum[:16])
}

// Bucket returns the key's hash bucket, 0 … 4095.
func (k Key) Bucket() int { return int(binary.BigEndian.Uint16(k[:2]) >> 4) }

// BucketStart returns the lowest key of a bucket; for bucket 4096 ok is false: there is no key behind the last.
func BucketStart(bucket int) (k Key, ok bool) {
	if bucket >= 4096 {
		return k, false
	}
	binary.BigEndian.PutUint16(k[:2], uint16(bucket)<<4)
	return k, true
}

// ErrBadID is returned for text that is no public id of the wanted kind. To a caller it is an id that nothing has.
var ErrBadID = errors.New("store: not an id of this kind")

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// The prefixes of public ids.
const (
	prefixSession  = "ses_"
	prefixDevice   = "dev_"
	prefixDecision = "dec_"
	prefixKick     = "kick_"
	prefixGrant    = "gra_"
	prefixWebhook  = "whk_"
	prefixDelivery = "del_"
	prefixAudit    = "aud_"
	prefixErasure  = "era_"
)

func formatID(prefix string, account Key, n int64) string {
	var b [24]byte
	copy(b[:16], account[:])
	binary.BigEndian.PutUint64(b[16:], uint64(n))
	return prefix + idEncoding.EncodeToString(b[:])
}

func parseID(prefix, id string) (Key, int64, error) {
	rest, ok := strings.CutPrefix(id, prefix)
	if !ok || len(rest) != 39 {
		return Key{}, 0, ErrBadID
	}
	b, err := idEncoding.DecodeString(rest)
	if err != nil || idEncoding.EncodeToString(b) != rest {
		return Key{}, 0, ErrBadID
	}
	return Key(b[:16]), int64(binary.BigEndian.Uint64(b[16:])), nil
}

// SessionID returns a session's public id; it carries the account and the generation, so it finds its row.
func SessionID(account Key, generation int64) string {
	return formatID(prefixSession, account, generation)
}

// ParseSessionID is the inverse of SessionID.
func ParseSessionID(id string) (account Key, generation int64, err error) {
	return parseID(prefixSession, id)
}

// DeviceID returns a device's public id.
func DeviceID(account Key, device int64) string { return formatID(prefixDevice, account, device) }

// ParseDeviceID is the inverse of DeviceID.
func ParseDeviceID(id string) (account Key, device int64, err error) {
	return parseID(prefixDevice, id)
}

// KickID returns a kick's public id; of a negative number, that of the job it belongs to.
func KickID(account Key, kick int64) string {
	if kick < 0 {
		return JobID(-kick)
	}
	return formatID(prefixKick, account, kick)
}

// ParseKickID is the inverse of KickID of a number that is not negative.
func ParseKickID(id string) (account Key, kick int64, err error) { return parseID(prefixKick, id) }

// JobID returns a job's public id: that of a kick of no account.
func JobID(job int64) string { return formatID(prefixKick, Key{}, job) }

// ParseJobID is the inverse of JobID.
func ParseJobID(id string) (int64, error) {
	account, n, err := parseID(prefixKick, id)
	if err != nil || account != (Key{}) || n <= 0 {
		return 0, ErrBadID
	}
	return n, nil
}

// WebhookID returns a webhook's public id.
func WebhookID(webhook int64) string { return formatID(prefixWebhook, Key{}, webhook) }

// ParseWebhookID is the inverse of WebhookID.
func ParseWebhookID(id string) (int64, error) {
	account, n, err := parseID(prefixWebhook, id)
	if err != nil || account != (Key{}) || n <= 0 {
		return 0, ErrBadID
	}
	return n, nil
}

// DeliveryID returns the public id of what was sent to a webhook. It carries both, and no account.
func DeliveryID(webhook, delivery int64) string {
	var k Key
	binary.BigEndian.PutUint64(k[8:], uint64(webhook))
	return formatID(prefixDelivery, k, delivery)
}

// ParseDeliveryID is the inverse of DeliveryID.
func ParseDeliveryID(id string) (webhook, delivery int64, err error) {
	k, n, err := parseID(prefixDelivery, id)
	if err != nil || [8]byte(k[:8]) != [8]byte{} {
		return 0, 0, ErrBadID
	}
	return int64(binary.BigEndian.Uint64(k[8:])), n, nil
}

// GrantID returns a grant's public id. It is not its token.
func GrantID(account Key, grant int64) string { return formatID(prefixGrant, account, grant) }

// ErasureID returns an erasure's public id. It is random, and says nothing about the account.
func ErasureID(erasure int64) string { return formatID(prefixErasure, Key{}, erasure) }

// AuditID returns the public id of an entry of the audit.
func AuditID(at time.Time, entry int64) string {
	var k Key
	binary.BigEndian.PutUint64(k[8:], uint64(at.UnixMicro()))
	return formatID(prefixAudit, k, entry)
}

// DecisionID returns a decision's public id. An account has at most one decision a microsecond.
func DecisionID(account Key, at time.Time) string {
	return formatID(prefixDecision, account, at.UnixMicro())
}

// ParseDecisionID is the inverse of DecisionID.
func ParseDecisionID(id string) (account Key, at time.Time, err error) {
	account, n, err := parseID(prefixDecision, id)
	return account, time.UnixMicro(n), err
}

// DeviceOf returns the id of the device that a user-agent id or a resource stands for. The same words always give the same device,
// so two transactions cannot make it twice.
func DeviceOf(kind, value string) int64 {
	sum := sha256.Sum256([]byte(kind + "\x00" + value))
	id := int64(binary.BigEndian.Uint64(sum[:8]) >> 1)
	return max(id, 1)
}
