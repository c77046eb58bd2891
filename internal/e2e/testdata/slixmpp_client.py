"""A slixmpp client that logs in and says what happens to it, one JSON object a line.

usage: slixmpp_client.py host port jid/resource language
"""
import json
import logging
import sys

import slixmpp
from slixmpp.exceptions import IqError

GATE = "{urn:bindgate:1}"


def say(what, **more):
    print(json.dumps({"what": what, **more}), flush=True)


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid, lang):
        super().__init__(jid, "pw", lang=lang, plugin_config={"feature_mechanisms": {"unencrypted_plain": True}})
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("stream_error", self.stream_error)
        self.add_event_handler("message", lambda m: say("message", body=m["body"]))
        self.add_event_handler("disconnected", lambda _: self.loop.stop())

    def started(self, _):
        self.send_presence()
        say("bound", jid=str(self.boundjid))

    def stream_error(self, error):
        text = error.xml.find("{urn:ietf:params:xml:ns:xmpp-streams}text")
        ended = error.xml.find(GATE + "ended")
        say("stream_error", condition=error["condition"], text=error["text"],
            lang=None if text is None else text.get("{http://www.w3.org/XML/1998/namespace}lang"),
            ended=None if ended is None else dict(ended.attrib))


class Denials(logging.Handler):
    """slixmpp only logs the error of a bind that is denied, and does nothing more."""

    def emit(self, record):
        error = record.exc_info and record.exc_info[1]
        if isinstance(error, IqError):
            say("denied", condition=error.condition, type=error.etype, text=error.text)


logging.getLogger().addHandler(Denials())
client = Client(sys.argv[3], sys.argv[4])
client.connect((sys.argv[1], int(sys.argv[2])), disable_starttls=True)
client.loop.run_forever()
say("disconnected")
