"""A slixmpp client whose user looks after their devices (XEP-0030, XEP-0050, XEP-0004). It reads what to do from its standard input and says what it sees,
one JSON object a line.

usage: slixmpp_owner.py host port jid/resource language component

{"do": "discover"}                                       the component and its commands
{"do": "run", "node": "…"}                               begins a command
{"do": "complete", "choose": "part of a label"}          goes on with it; without "choose" no field is filled in
{"do": "complete", "value": "…"}                         sends a value that the form did not offer
{"do": "cancel"}
"""
import asyncio
import json
import sys

import slixmpp

GATE = "{urn:bindgate:1}"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def say(what, **more):
    print(json.dumps({"what": what, **more}), flush=True)


class Owner(slixmpp.ClientXMPP):
    def __init__(self, jid, lang, component):
        super().__init__(jid, "pw", lang=lang, plugin_config={"feature_mechanisms": {"unencrypted_plain": True}})
        for plugin in ("xep_0030", "xep_0004", "xep_0050"):
            self.register_plugin(plugin)
        self.component = component
        self.command = None  # the command session that is open
        self.shown = None  # its form
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("message", self.message)
        self.add_event_handler("stream_error", self.stream_error)
        self.add_event_handler("disconnected", lambda _: self.loop.stop())

    def started(self, _):
        self.send_presence()
        say("bound", jid=str(self.boundjid))
        self.work = self.loop.create_task(self.obey())

    async def obey(self):
        reader = asyncio.StreamReader()
        await self.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            task = json.loads(line)
            await getattr(self, "do_" + task.pop("do"))(**task)

    def message(self, m):
        login = m.xml.find(GATE + "login")
        body = m.xml.find("{jabber:client}body")
        say("message", type=m["type"], sender=str(m["from"]), body=m["body"], lang=None if body is None else body.get(LANG),
            login=None if login is None else dict(login.attrib))

    def stream_error(self, error):
        ended = error.xml.find(GATE + "ended")
        say("stream_error", condition=error["condition"], text=error["text"], ended=None if ended is None else dict(ended.attrib))

    async def do_discover(self):
        about = await self["xep_0030"].get_info(jid=self.component)
        items = await self["xep_0050"].get_commands(self.component)
        kinds = []
        for _, node, _ in sorted(items["disco_items"]["items"], key=lambda i: i[1]):
            info = await self["xep_0030"].get_info(jid=self.component, node=node)
            kinds += [list(i[:2]) for i in info["disco_info"]["identities"]]
        say("commands", identities=[list(i[:2]) for i in about["disco_info"]["identities"]], features=sorted(about["disco_info"]["features"]),
            nodes=sorted(node for _, node, _ in items["disco_items"]["items"]), names=[name for _, _, name in items["disco_items"]["items"]],
            jids=sorted({str(jid) for jid, _, _ in items["disco_items"]["items"]}), kinds=kinds)

    async def do_run(self, node):
        self.command = {"next": self.step, "error": self.error}
        self["xep_0050"].start_command(self.component, node, self.command)

    async def do_complete(self, choose=None, value=None):
        self.command["payload"] = None
        if choose is not None:
            chosen = [o["value"] for o in self.shown.get_fields()["device"]["options"] if choose in o["label"]]
            value = chosen[0]
        if value is not None:
            form = self["xep_0004"].make_form(ftype="submit")
            form.add_field(var="device", value=value)
            self.command["payload"] = form
        self["xep_0050"].complete_command(self.command)

    async def do_cancel(self):
        self.command["payload"] = None
        self["xep_0050"].cancel_command(self.command)

    def step(self, iq, session):
        command = iq["command"]
        more = {}
        if command.xml.find("{jabber:x:data}x") is not None:
            form = self.shown = command["form"]
            more = {"type": form["type"], "title": form["title"], "instructions": form["instructions"],
                    "options": [o["label"] for f in form["fields"] for o in f["options"]],
                    "values": [o["value"] for f in form["fields"] for o in f["options"]],
                    "fixed": [f["value"] for f in form["fields"] if f["type"] == "fixed"],
                    "columns": [f["label"] for f in form.get_reported().values()], "rows": [list(row.values()) for row in form.get_items()]}
        say("step", status=command["status"], actions=sorted(command["actions"]), notes=[list(n) for n in command["notes"]], **more)

    def error(self, iq, session):
        say("error", condition=iq["error"]["condition"], type=iq["error"]["type"], text=iq["error"]["text"],
            command=[e.tag.split("}")[1] for e in iq["error"].xml if e.tag.startswith("{http://jabber.org/protocol/commands}")])


client = Owner(sys.argv[3], sys.argv[4], sys.argv[5])
client.connect((sys.argv[1], int(sys.argv[2])), disable_starttls=True)
client.loop.run_forever()
say("disconnected")
