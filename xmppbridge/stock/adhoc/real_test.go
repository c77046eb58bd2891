package adhoc_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/ejabberd"
	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/xmppbridge/stock/adhoc"
)

func TestX(t *testing.T) {
	for _, k := range []string{"p", "e"} {
		t.Run(k, func(t *testing.T) {
			t.Parallel()
			var s server
			if k == "p" {
				s = stockProsody(t, prosody.Config{Global: prosodyRights, Modules: []string{"admin_adhoc"}})
			} else {
				s = stockEjabberd(t, ejabberd.Config{Lines: ejabberdRights, Hosts: []ejabberd.Host{{Modules: "mod_configure: {}"}}})
			}
			st := connect(t, s)
			show := func(kind, to, x string) {
				b, err := st.Query(t.Context(), to, kind, x)
				fmt.Printf("%s %s %s\n -> %s %v\n", kind, to, x, b, err)
			}
			a1 := login(t, s, "ada", "phone")
			a2 := login(t, s, "ada", "tab, let@x/y")
			b1 := login(t, s, "bob", "web")
			b1.SendRaw("<presence><show>away\nada@localhost/forged\n - forged: available(0), IP: [1.2.3.4]\nada@localhost</show></presence>")
			time.Sleep(300 * time.Millisecond)
			srv, err := adhoc.Discover(t.Context(), st, s.Domain())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Println(k, srv.Software(), srv.List(), srv.Explains())
			show("set", s.Domain(), "<command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/admin#get-online-users-list'><x xmlns='jabber:x:data' type='submit'><field var='max_items'><value>all</value></field><field var='details'><value>1</value></field></x></command>")
			show("set", s.Domain(), "<command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/admin#user-stats'><x xmlns='jabber:x:data' type='submit'><field var='accountjid'><value>ada@localhost</value></field></x></command>")
			show("get", "ada@localhost", "<query xmlns='http://jabber.org/protocol/disco#items'/>")
			show("get", "localhost", "<query xmlns='http://jabber.org/protocol/disco#items'/>")
			fmt.Println(srv.Sessions(t.Context()))
			fmt.Println(srv.SessionsOf(t.Context(), "ada"))
			fmt.Println(srv.Sessions(t.Context()))
			t0 := time.Now()
			fmt.Println(srv.End(t.Context(), "ada", "tab, let@x/y", "why"))
			fmt.Println(a2.WaitClosed(t.Context()))
			fmt.Println(k, time.Since(t0), a2.Err(), a1.Err(), b1.Err())
			fmt.Println(srv.Sessions(t.Context()))
			fmt.Println(srv.End(t.Context(), "ada", "nothere", "why"))
		})
	}
}
