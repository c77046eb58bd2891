"""slixmpp as a test client: see the package comment of internal/clients for the arguments and for what it prints.

Device is what docs/clients.md shows.
"""
import asyncio
import xml.etree.ElementTree as ET

import slixmpp
from slixmpp.exceptions import IqError


class Device(slixmpp.ClientXMPP):
    signed_out = False
    token = ""  # of a grant, or of the session that the user chose to sign out
    where = ()  # arguments of connect; nothing: what DNS says
    delay = 1  # seconds before the next attempt

    def __init__(self, jid, password, **options):
        super().__init__(jid, password, **options)
        self.unregister_feature("bind", order=10000)
        self.register_feature("bind", self.bind, restart=True, order=10000)
        self.add_event_handler("stream_error", self.stream_ended)
        self.add_event_handler("session_start", self.online)
        self.add_event_handler("failed_all_auth", self.login_failed)
        self.add_event_handler("disconnected", self.come_back)

    def stream_ended(self, error):
        if error["condition"] == "conflict":
            self.signed_out = True
            ended = error.xml.find("{urn:bindgate:1}ended")
            self.tell_signed_out(error["text"], {} if ended is None else ended.attrib)

    def online(self, _):
        self.delay = 1

    def login_failed(self, _):
        self.signed_out = True
        self.tell_login_failed()

    async def come_back(self, _):
        if not self.signed_out:
            delay, self.delay = self.delay, min(2 * self.delay, 60)
            await asyncio.sleep(delay)
        if not self.signed_out:
            self.connect(*self.where)

    async def bind(self, features):
        iq = self.make_iq_set()
        iq["bind"]["resource"] = self.requested_jid.resource
        if self.token:
            ET.SubElement(iq["bind"].xml, "{urn:bindgate:1}takeover", token=self.token)
        try:
            answer = await iq.send()
        except IqError as e:
            return await self.denied(e.iq["error"], features)
        else:
            self["feature_bind"].features = features
            self["feature_bind"]._on_bind_response(answer)
            return False  # there is nothing to restart, other features may follow

    async def denied(self, error, features):
        why = error.xml.find("{urn:bindgate:1}denied")
        code = "unavailable" if why is None else why.get("code")
        if code != "choose":
            if code != "unavailable":
                self.signed_out = True  # no new attempt before the user wants one
                self.tell_denied(error["text"], why.attrib)
            self.disconnect()
            return True
        self.token = self.ask_which([dict(s.attrib) for s in why])["token"]
        return await self.bind(features)  # again, on the same stream


# What follows is for the test.
import json
import logging
import sys

LANG = "{http://www.w3.org/XML/1998/namespace}lang"
STREAMS = "{urn:ietf:params:xml:ns:xmpp-streams}"


def attributes(element):
    return {} if element is None else dict(element.attrib)


class Polite(Device):
    """Says what an app would show, and chooses what its user would."""

    async def denied(self, error, features):
        if attributes(error.xml.find("{urn:bindgate:1}denied")).get("code") == "unavailable":
            self.say("later")
        return await super().denied(error, features)

    def tell_signed_out(self, text, ended):
        self.say("told", text=text, **ended)

    def tell_denied(self, text, why):
        self.say("told", text=text, **why)

    def tell_login_failed(self):
        self.say("told", text="")

    def ask_which(self, sessions):
        self.say("asked", resources=" ".join(s["resource"] for s in sessions))
        return sessions[0]


def run(address, user, domain, resource, lang, mode, token):
    """Logs in, and says what it sees."""

    def say(what, **more):
        print(json.dumps({"what": what, "user": user, **more}), flush=True)

    def stream_error(error):
        text = error.xml.find(STREAMS + "text")
        say("ended", condition=error["condition"], text=error["text"], lang="" if text is None else text.get(LANG),
            **attributes(error.xml.find("{urn:bindgate:1}ended")))

    client = (Polite if mode == "polite" else slixmpp.ClientXMPP)(f"{user}@{domain}/{resource}", "pw", lang=lang, plugin_config={"feature_mechanisms": {"unencrypted_plain": True}})
    client.say, client.token, client.where = say, token, (address, False, False, True)
    client.add_event_handler("session_start", lambda _: say("online", jid=str(client.boundjid)))
    if mode == "plain":
        client.add_event_handler("stream_error", stream_error)
        client.add_event_handler("disconnected", lambda _: say("closed"))
    client.connect(*client.where)
    return client


class Denials(logging.Handler):
    """slixmpp only logs the error of a bind that is denied, and does nothing more."""

    def emit(self, record):
        error = record.exc_info and record.exc_info[1]
        if isinstance(error, IqError):
            user = error.iq["to"].user or error.iq.stream.requested_jid.user
            print(json.dumps({"what": "denied", "user": user, "condition": error.condition, "type": error.etype, "text": error.text,
                              **attributes(error.iq["error"].xml.find("{urn:bindgate:1}denied"))}), flush=True)


logging.getLogger().addHandler(Denials())
host, port, _, _, domain, *logins = sys.argv[1:]
clients = [run((host, int(port)), user, domain, *login) for user, *login in (login.split("/") for login in logins)]
asyncio.get_event_loop().run_forever()
