// Package xmppbridge connects bindgate to XMPP servers as an external component (XEP-0114) and speaks the gate protocol
// (PROTOCOL.md) there. It translates between stanzas and the types of package gate and keeps the connection; it decides nothing.
//
// # Goroutines
//
//	Bridge.Run ─ the loop: open, serve, pause, again
//	  └ one life of a connection, all of it waited for before the next begins
//	     ├ read loop   (Run's own goroutine) socket → framer → parse → Gate.Connected, Hello, Ask, Event, Disconnected
//	     ├ owners      16 that answer the requests of users, which wait in a queue of 64 → Owner
//	     ├ writer      queue (4,096 stanzas) → socket, in batches; the only one who writes
//	     └ pulse       asks silent domains for a hello, pings a silent server, ends the life when there is no answer → Gate.Problem
//
// The read loop never waits: the gate's methods return at once, and what it writes goes to the queue. A full queue ends the connection
// (ErrBacklog), because a server that does not read cannot be told anything. Answers to users' stray stanzas are dropped long before that, so
// that no user can fill the queue. Callers of the Link wait in their own goroutines, for room in the queue and for the answer; the end of the
// connection ends them all with ErrDown.
//
// # What users can send
//
// Every user may write to a component. mellium.im/xmpp does the stream's opening and handshake, and no more: its reader
// takes an element of the stream's namespace at any depth for the stream's own, its JIDs follow PRECIS and refuse names that servers accept, and it has
// no limit of size. So a framer of our own cuts the stream into stanzas by bytes, and what does not parse, is too large or nested too deep is skipped
// as a whole. Addresses are compared and swapped as text and never parsed. What comes from an address with a localpart is answered
// service-unavailable if it is a request, from its start tag alone, and dropped otherwise.
//
// But for one thing: a session of a host that has said hello may ask the component what it is (XEP-0030) and run commands about its own account (XEP-0050). The account is
// what the server stamped as the stanza's sender; nothing inside the stanza can name another. Such a stanza is kept up to 16 KiB and handed over unread to goroutines
// that the connection waits for; how many come in is bounded, for all and for each account, and what they write is left out when the queue is half full.
package xmppbridge
