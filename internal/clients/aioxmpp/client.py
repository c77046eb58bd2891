"""aioxmpp as a test client: see the package comment of internal/clients for the arguments and for what it prints.

Device and what is before it are what docs/clients.md shows.
"""
import aioxmpp
import aioxmpp.nonza
import aioxmpp.rfc6120
from aioxmpp import xso


class Ended(xso.XSO):
    TAG = ("urn:bindgate:1", "ended")
    code = xso.Attr("code", default="")
    device = xso.Attr("device", default="")
    platform = xso.Attr("platform", default="")
    at = xso.Attr("at", default="")


class Choice(xso.XSO):
    TAG = ("urn:bindgate:1", "session")
    UNKNOWN_ATTR_POLICY = xso.UnknownAttrPolicy.DROP
    token = xso.Attr("token")
    resource = xso.Attr("resource", default="")
    platform = xso.Attr("platform", default="")


@aioxmpp.stanza.Error.as_application_condition
class Denied(xso.XSO):
    TAG = ("urn:bindgate:1", "denied")
    UNKNOWN_ATTR_POLICY = xso.UnknownAttrPolicy.DROP
    code = xso.Attr("code", default="")
    retry_after = xso.Attr("retry_after", default="")
    sessions = xso.ChildList([Choice])


class Takeover(xso.XSO):
    TAG = ("urn:bindgate:1", "takeover")
    token = xso.Attr("token")


def with_ended(error, to_exception=aioxmpp.nonza.StreamError.to_exception):
    exception = to_exception(error)
    exception.ended = error.ended
    return exception


aioxmpp.nonza.StreamError.ended = xso.Child([Ended])
aioxmpp.nonza.StreamError.to_exception = with_ended
aioxmpp.rfc6120.Bind.takeover = xso.Child([Takeover])


class Device(aioxmpp.PresenceManagedClient):
    token = ""  # of a grant, or of the session that the user chose to sign out
    lang = "en"

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.on_failure.connect(self.failed)

    def failed(self, error):
        """aioxmpp has stopped for good: after a conflict, a bind that was denied, or a login that failed."""
        if isinstance(error, aioxmpp.errors.StreamError) and error.condition == aioxmpp.errors.StreamErrorCondition.CONFLICT:
            self.tell_signed_out(error.text, error.ended)
        elif isinstance(error.__context__, aioxmpp.errors.XMPPError):
            self.tell_denied(error.__context__.text, error.__context__.application_defined_condition)
        else:
            self.tell_login_failed(error)

    async def _main_impl(self):
        try:
            await super()._main_impl()
        except aioxmpp.errors.StreamError as error:
            if error.condition == aioxmpp.errors.StreamErrorCondition.CONFLICT:
                raise
            raise ConnectionError(str(error))  # aioxmpp waits before it comes back from this, and not from a stream error

    async def _bind(self):
        bind = aioxmpp.rfc6120.Bind(resource=self.local_jid.resource)
        if self.token:
            bind.takeover = Takeover()
            bind.takeover.token = self.token
        iq = aioxmpp.IQ(type_=aioxmpp.IQType.SET, payload=bind)
        iq.lang = aioxmpp.structs.LanguageTag.fromstr(self.lang)  # aioxmpp's stream has none
        try:
            answer = await self.stream._send_immediately(iq)
        except aioxmpp.errors.XMPPError as error:
            why = error.application_defined_condition
            if why is None or why.code == "unavailable":
                raise ConnectionError(str(error))  # like a lost network: aioxmpp tries again, later each time
            if why.code != "choose":
                raise aioxmpp.errors.StreamNegotiationFailure(f"denied: {error}")
            self.token = self.ask_which(why.sessions).token
            await self._bind()  # again, on the same stream
        else:
            self._local_jid = answer.jid
            self.stream.local_jid = answer.jid.bare()


# What follows is for the test.
import asyncio
import json
import sys

import aioxmpp.connector
import aioxmpp.security_layer


class Polite(Device):
    """Says what an app would show, and chooses what its user would."""

    async def _bind(self):
        try:
            await super()._bind()
        except ConnectionError as error:
            if type(error) is ConnectionError:  # and not aioxmpp's own, after which it stops
                self.say("later")
            raise

    def tell_signed_out(self, text, ended):
        self.say("told", text=text, **attributes(ended))

    def tell_denied(self, text, why):
        self.say("told", text=text, **attributes(why))

    def tell_login_failed(self, error):
        self.say("told", text=str(error))

    def ask_which(self, sessions):
        self.say("asked", resources=" ".join(s.resource for s in sessions))
        return sessions[0]


def attributes(element):
    names = ("code", "device", "platform", "at", "retry_after")
    return {name: getattr(element, name) for name in names if getattr(element, name, "")}


class Plain(aioxmpp.security_layer.PasswordSASLProvider):
    """Sends the password without TLS too, which the test's server has not."""

    async def execute(self, jid, features, stream, transport):
        return await super().execute(jid, features, stream, transport or True)


async def password(jid, attempt):
    return "pw"


def run(host, port, domain, user, resource, lang, mode, token):
    """Logs in, and says what it sees."""

    def say(what, **more):
        print(json.dumps({"what": what, "user": user, **more}), flush=True)

    def ended(error):
        if isinstance(error, aioxmpp.errors.StreamError):
            say("ended", condition=error.condition.value[1], text=error.text, **attributes(error.ended))
        say("closed")

    def failed(error):
        denial = error.__context__
        if isinstance(denial, aioxmpp.errors.XMPPError):
            say("denied", condition=denial.condition.value[1], type=denial.TYPE.value, text=denial.text, **attributes(denial.application_defined_condition))
            say("closed")

    layer = aioxmpp.security_layer.SecurityLayer(aioxmpp.security_layer.default_ssl_context, aioxmpp.security_layer.PKIXCertificateVerifier, False, [Plain(password)])
    client = (Polite if mode == "polite" else aioxmpp.PresenceManagedClient)(aioxmpp.JID(user, domain, resource), layer, override_peer=[(host, port, aioxmpp.connector.STARTTLSConnector())])
    client.say, client.lang, client.token = say, lang, token
    client.on_stream_established.connect(lambda: say("online", jid=str(client.local_jid)))
    if mode == "plain":
        client.stream.on_failure.connect(ended)
        client.on_failure.connect(failed)
    client.presence = aioxmpp.PresenceState(available=True)
    return client


async def main():
    host, port, _, _, domain, *logins = sys.argv[1:]
    clients = [run(host, int(port), domain, *login.split("/")) for login in logins]
    await asyncio.Event().wait()
    del clients


asyncio.run(main())
