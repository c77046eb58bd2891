package conformance

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// sasl2 authenticates and binds in one step (XEP-0388, XEP-0386) and returns what came of it, and the stream.
func sasl2(t *testing.T, server servers.Server, user, tag string) (*xmppclient.Element, *xmppclient.Reader, net.Conn) {
	t.Helper()
	addr, _ := server.Addresses()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='%s@%s' to='%[2]s' version='1.0' xml:lang='ja'>", user, server.Domain())
	reader := xmppclient.NewReader(conn)
	if _, err := reader.Header(); err != nil {
		t.Fatal(err)
	}
	if features, err := reader.Next(); err != nil || !strings.Contains(features.Raw, "urn:xmpp:sasl:2") {
		t.Fatalf("features: %+v, %v", features, err)
	}
	fmt.Fprintf(conn, "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>%s</initial-response>"+
		"<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>Conversations</software><device>Pixel</device></user-agent>"+
		"<bind xmlns='urn:xmpp:bind:0'><tag>%s</tag><takeover xmlns='%s' token='t1'/></bind></authenticate>", base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00pw")), tag, ns)
	answer, err := reader.Next()
	if err != nil || answer.Name.Local != "success" {
		t.Fatalf("authenticate: %+v, %v", answer, err)
	}
	return answer, reader, conn
}

// TestBindWithinAuthentication: what XEP-0386 binds is asked about too, with who the client is; a denial leaves the stream for another bind.
func TestBindWithinAuthentication(t *testing.T) { servers.EachVersion(t, testBindWithinAuthentication) }

func testBindWithinAuthentication(t *testing.T, on *servers.Kind) {
	on.Can(t, servers.SASL2)
	server := on.Start(t, servers.Options{SASL2: true})
	c := connect(t, server, true)
	c.on(allowAll)
	answer, _, _ := sasl2(t, server, "ann", "phone")
	if answer.Child("urn:xmpp:bind:0", "bound") == nil {
		t.Fatalf("not bound: %s", answer.Raw)
	}
	asked := c.ask(1).node
	bound := c.event("bind", "ann", "")
	for name, want := range map[string]string{"client_id": "d4565fa7-4d72-4749-b3d3-740edbf87770", "client": "Conversations", "lang": "ja", "takeover": "t1", "chosen": "1", "sid": bound.Attr("sid"), "resource": bound.Attr("resource")} {
		if got := asked.Attr(name); got != want {
			t.Errorf("ask %s=%q, want %q", name, got, want)
		}
	}
	if !strings.HasPrefix(bound.Attr("resource"), "phone") || bound.Attr("ask_id") != asked.Attr("ask_id") || bound.Attr("client_id") != asked.Attr("client_id") {
		t.Errorf("bind: %s", bound.Raw)
	}

	c.on(func(a ask) string {
		return a.deny("code='limit' type='wait' condition='resource-constraint' retry_after='30'", "<text xml:lang='ja'>満員</text>")
	})
	answer, reader, conn := sasl2(t, server, "bob", "phone")
	failed := answer.Child("urn:xmpp:bind:0", "failed")
	if failed == nil || answer.Child("urn:xmpp:bind:0", "bound") != nil || !strings.Contains(failed.Raw, "<resource-constraint") || !strings.Contains(failed.Raw, "満員") ||
		!strings.Contains(failed.Raw, "code='limit'") || !strings.Contains(failed.Raw, "retry_after='30'") {
		t.Fatalf("denied: %s", answer.Raw)
	}
	c.on(allowAll)
	if features, err := reader.Next(); err != nil || features.Name.Local != "features" {
		t.Fatalf("features: %+v, %v", features, err)
	}
	if _, err := io.WriteString(conn, "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>again</resource></bind></iq>"); err != nil {
		t.Fatal(err)
	}
	if result, err := reader.Next(); err != nil || result.Attr("type") != "result" {
		t.Fatalf("another bind: %+v, %v", result, err)
	}
	if e := c.event("bind", "bob", "again"); e.Attr("client_id") != asked.Attr("client_id") {
		t.Errorf("bind: %s", e.Raw)
	}
}
