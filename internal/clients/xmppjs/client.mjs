// xmpp.js as a test client: see the package comment of internal/clients for the arguments and for what it prints. device is what docs/clients.md shows.
import { client, xml } from "@xmpp/client";

globalThis.WebSocket ??= (await import("ws")).WebSocket; // Node has its own from version 22 on

const OURS = "urn:bindgate:1";

function device(options, app) {
  const xmpp = client(options);
  xmpp.token = ""; // of a grant, or of the session that the user chose to sign out

  const send = xmpp.send.bind(xmpp);
  xmpp.send = (stanza) => {
    const bind = stanza.getChild("bind", "urn:ietf:params:xml:ns:xmpp-bind");
    if (bind && xmpp.token) bind.append(xml("takeover", { xmlns: OURS, token: xmpp.token }));
    return send(stanza);
  };

  xmpp.on("error", (error) => {
    if (error.name === "StreamError" && error.condition === "conflict") {
      xmpp.reconnect.stop(); // it would be back after a second, for ever
      app.tellSignedOut(error.text, error.element.getChild("ended", OURS)?.attrs ?? {});
    } else if (error.name === "StanzaError" && error.element.getChild("denied", OURS)) {
      denied(error.text, error.element.getChild("denied", OURS));
    }
  });

  async function denied(text, why) {
    if (why.attrs.code === "choose") {
      xmpp.token = (await app.askWhich(why.getChildren("session").map((s) => s.attrs))).token;
      await xmpp.disconnect(); // and reconnect binds again
    } else {
      xmpp.reconnect.stop(); // no new attempt before the user wants one
      await xmpp.stop();
      app.tellDenied(text, why.attrs);
    }
  }

  return xmpp;
}

function run({ url, domain }, login) {
  const [user, resource, lang, mode, token] = login.split("/");
  const say = (what, more) => console.log(JSON.stringify({ what, user, ...more }));
  const options = {
    service: url,
    domain,
    resource,
    lang,
    credentials: (authenticate) => authenticate({ username: user, password: "pw" }, "PLAIN"), // also without TLS, which the test's server has not
  };
  const app = {
    tellSignedOut: (text, ended) => say("told", { text, ...ended }),
    tellDenied: (text, why) => say("told", { text, ...why }),
    askWhich: (sessions) => {
      say("asked", { resources: sessions.map((s) => s.resource).join(" ") });
      return sessions[0];
    },
  };
  const xmpp = mode === "polite" ? device(options, app) : plain(client(options), say);
  xmpp.token = token;
  xmpp.on("online", (jid) => say("online", { jid: jid.toString() }));
  xmpp.start().catch(() => {}); // is told to the listeners too
}

function plain(xmpp, say) {
  xmpp.on("error", (error) => {
    if (error.name === "StreamError") {
      say("ended", {
        condition: error.condition,
        text: error.text,
        lang: error.element.getChild("text")?.attrs["xml:lang"] ?? "",
        ...error.element.getChild("ended", OURS)?.attrs,
      });
    } else if (error.name === "StanzaError") {
      say("denied", { condition: error.condition, type: error.type, text: error.text, ...error.element.getChild("denied", OURS)?.attrs });
    } else {
      console.error(error);
    }
  });
  xmpp.on("disconnect", () => say("closed"));
  return xmpp;
}

const [, , url, , domain, ...logins] = process.argv.slice(2);
for (const login of logins) run({ url, domain }, login);
