-- Debian's Prosody has no SASL2 (XEP-0388). A client of the test kit tells the id of its installation in the bind request instead:
-- <client xmlns='urn:bindgate:kit' id='…'/>. It goes where SASL2 would leave it.
module:hook("stanza/iq/urn:ietf:params:xml:ns:xmpp-bind:bind", function (event)
	local client = event.stanza.tags[1]:get_child("client", "urn:bindgate:kit");
	if client and event.origin.username and not event.origin.resource then
		event.origin.client_id = client.attr.id;
	end
end, 20); -- before the gate module reads it
