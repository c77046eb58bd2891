package xmppbridge

import (
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/bindgate/bindgate/gate"
)

// maxSend is the size of the largest stanza that is sent, in bytes. Prosody ends the connection at 512 KiB.
const maxSend = 256 << 10

// envelope is what stands on the outside of an IQ that we send.
type envelope struct {
	from, to, id string
}

// appendEscaped escapes text for an attribute in single quotes and for character data. What XML cannot carry becomes U+FFFD.
func appendEscaped(b []byte, s string) []byte {
	done := 0
	for i := 0; i < len(s); {
		c, n := rune(s[i]), 1
		if c >= utf8.RuneSelf {
			c, n = utf8.DecodeRuneInString(s[i:])
		}
		var esc string
		switch {
		case c == '&':
			esc = "&amp;"
		case c == '<':
			esc = "&lt;"
		case c == '>':
			esc = "&gt;"
		case c == '\'':
			esc = "&apos;"
		case c == '"':
			esc = "&quot;"
		case c == '\t':
			esc = "&#9;"
		case c == '\n':
			esc = "&#10;"
		case c == '\r':
			esc = "&#13;"
		case c < ' ', c == utf8.RuneError && n == 1, c == 0xFFFE, c == 0xFFFF:
			esc = "\uFFFD"
		}
		if esc != "" {
			b = append(append(b, s[done:i]...), esc...)
			done = i + n
		}
		i += n
	}
	return append(b, s[done:]...)
}

func appendAttr(b []byte, name, value string) []byte {
	b = append(append(append(b, ' '), name...), "='"...)
	return append(appendEscaped(b, value), '\'')
}

// appendWord leaves empty attributes out.
func appendWord(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendAttr(b, name, value)
}

func appendNumber(b []byte, name string, n int64) []byte {
	b = append(append(append(b, ' '), name...), "='"...)
	return append(strconv.AppendInt(b, n, 10), '\'')
}

// openIQ begins an IQ and its payload, whose start tag stays open for attributes.
func openIQ(kind string, e envelope, payload string) []byte {
	b := make([]byte, 0, 512)
	b = append(b, "<iq"...)
	b = appendAttr(b, "type", kind)
	b = appendWord(b, "id", e.id)
	b = appendAttr(b, "from", e.from)
	b = appendAttr(b, "to", e.to)
	b = append(append(append(b, "><"...), payload...), " xmlns='"+NS+"'"...)
	return b
}

// closeIQ ends what openIQ began.
func closeIQ(b []byte, payload string) []byte {
	return append(append(append(b, "</"...), payload...), "></iq>"...)
}

func appendText(b []byte, lang, text string) []byte {
	if text == "" {
		return b
	}
	b = append(b, "<text"...)
	b = appendWord(b, "xml:lang", lang)
	b = append(b, '>')
	return append(appendEscaped(b, text), "</text>"...)
}

// encodeError makes an IQ error (RFC 6120 §8.3).
func encodeError(e envelope, kind, condition, text string) []byte {
	b := make([]byte, 0, 512)
	b = append(b, "<iq type='error'"...)
	b = appendWord(b, "id", e.id)
	b = appendAttr(b, "from", e.from)
	b = appendAttr(b, "to", e.to)
	b = append(b, "><error type='"+kind+"'><"+condition+" xmlns='"+nsStanzas+"'/>"...)
	if text != "" {
		b = append(b, "<text xmlns='"+nsStanzas+"' xml:lang='en'>"...)
		b = append(appendEscaped(b, text), "</text>"...)
	}
	return append(b, "</error></iq>"...)
}

// encodeHello answers a module's hello.
func encodeHello(e envelope, version, record string) []byte {
	b := openIQ("result", e, "hello")
	b = appendAttr(b, "version", ProtocolVersion)
	b = appendAttr(b, "bindgate", version)
	b = appendWord(b, "record", record)
	return append(b, "/></iq>"...)
}

// encodeHelloRequest asks a module for its hello.
func encodeHelloRequest(e envelope) []byte { return append(openIQ("get", e, "hello"), "/></iq>"...) }

// encodePing asks for any answer at all (XEP-0199).
func encodePing(e envelope) []byte {
	b := appendAttr([]byte("<iq type='get'"), "id", e.id)
	b = appendAttr(b, "from", e.from)
	b = appendAttr(b, "to", e.to)
	return append(b, "><ping xmlns='urn:xmpp:ping'/></iq>"...)
}

// Words that a denial may carry.
var (
	denyConditions = []string{"conflict", "resource-constraint", "not-allowed", "service-unavailable"}
	denyTypes      = []string{"cancel", "wait"}
)

// maxHold is how long a module may be told to hold a denial.
const maxHold = 4 * time.Second

// encodeAnswer makes the answer to an ask. An answer that cannot be said becomes "no decision", with the error that says why.
func encodeAnswer(e envelope, a gate.Answer) ([]byte, error) {
	var b []byte
	var err error
	switch a.Outcome {
	case gate.Allow:
		b = encodeAllow(e, a)
	case gate.Deny:
		b, err = encodeDeny(e, a)
	case gate.Undecided:
		return encodeError(e, "wait", "internal-server-error", "no decision was made; the failure policy applies"), nil
	default:
		err = fmt.Errorf("answer: unknown outcome %q", a.Outcome)
	}
	if err == nil && len(b) > maxSend {
		err = fmt.Errorf("answer: %d bytes, more than %d", len(b), maxSend)
	}
	if err != nil {
		return encodeError(e, "wait", "internal-server-error", "the decision cannot be sent; the failure policy applies"), err
	}
	return b, nil
}

func encodeAllow(e envelope, a gate.Answer) []byte {
	b := openIQ("result", e, "allow")
	b = appendAttr(b, "ask_id", a.AskID)
	b = append(b, '>')
	for _, k := range a.Kicks {
		b = appendKick(append(b, "<kick"...), k)
	}
	return closeIQ(b, "allow")
}

// appendKick ends a <kick whose start tag is open.
func appendKick(b []byte, k gate.Kick) []byte {
	b = appendAttr(b, "user", k.User)
	b = appendAttr(b, "sid", k.SID)
	b = appendWord(b, "resource", k.Resource)
	b = appendAttr(b, "code", k.Code)
	b = appendWord(b, "device", k.Device)
	b = appendWord(b, "platform", k.Platform)
	if !k.At.IsZero() {
		b = appendAttr(b, "at", k.At.UTC().Format(time.RFC3339))
	}
	b = append(b, '>')
	b = appendText(b, k.Lang, k.Text)
	return append(b, "</kick>"...)
}

func encodeDeny(e envelope, a gate.Answer) ([]byte, error) {
	d := a.Denial
	if !slices.Contains(denyConditions, d.Condition) {
		return nil, fmt.Errorf("answer: condition %q is not one of %v", d.Condition, denyConditions)
	}
	if !slices.Contains(denyTypes, d.Type) {
		return nil, fmt.Errorf("answer: error type %q is not one of %v", d.Type, denyTypes)
	}
	b := openIQ("result", e, "deny")
	b = appendAttr(b, "ask_id", a.AskID)
	b = appendAttr(b, "code", d.Code)
	b = appendAttr(b, "type", d.Type)
	b = appendAttr(b, "condition", d.Condition)
	if d.RetryAfter > 0 {
		b = appendNumber(b, "retry_after", int64((d.RetryAfter+time.Second-1)/time.Second))
	}
	b = appendNumber(b, "hold_ms", min(max(d.Hold, 0), maxHold).Milliseconds())
	b = appendWord(b, "token", d.Token)
	b = append(b, '>')
	b = appendText(b, d.Lang, d.Text)
	for _, c := range d.Choices {
		b = appendAttr(append(b, "<session"...), "token", c.Token)
		b = appendWord(b, "device", c.Device)
		b = appendAttr(b, "resource", c.Resource)
		b = appendWord(b, "platform", c.Platform)
		b = appendAttr(b, "started_at", c.StartedAt.UTC().Format(time.RFC3339))
		b = append(appendNumber(b, "idle_seconds", int64(c.Idle/time.Second)), "/>"...)
	}
	return closeIQ(b, "deny"), nil
}

func encodeKick(e envelope, node string, k gate.Kick) []byte {
	b := openIQ("set", e, "kick")
	b = appendWord(b, "node", node)
	return append(appendKick(b, k), "</iq>"...)
}

func encodeProbe(e envelope, node, user string, sids []string, timeout time.Duration) []byte {
	b := openIQ("get", e, "probe")
	b = appendWord(b, "node", node)
	b = appendNumber(b, "timeout_ms", timeout.Milliseconds())
	b = append(b, '>')
	for _, sid := range sids {
		b = appendAttr(append(b, "<session"...), "user", user)
		b = append(appendAttr(b, "sid", sid), "/>"...)
	}
	return closeIQ(b, "probe")
}

func encodeSnapshot(e envelope, node string, first, count int, digest string) []byte {
	b := openIQ("get", e, "snapshot")
	b = appendWord(b, "node", node)
	b = appendNumber(b, "first", int64(first))
	b = appendNumber(b, "count", int64(count))
	b = appendWord(b, "digest", digest)
	return append(b, "/></iq>"...)
}

func encodeMode(e envelope, node, mode string) []byte {
	b := openIQ("set", e, "mode")
	b = appendWord(b, "node", node)
	b = appendAttr(b, "value", mode)
	return append(b, "/></iq>"...)
}

func encodeRevoke(e envelope, node, user string, devices []string, others bool) []byte {
	b := openIQ("set", e, "revoke")
	b = appendWord(b, "node", node)
	b = appendAttr(b, "user", user)
	if others {
		b = append(b, " others='1'"...)
	}
	b = append(b, '>')
	for _, d := range devices {
		b = append(appendAttr(append(b, "<device"...), "client_id", d), "/>"...)
	}
	return closeIQ(b, "revoke")
}
