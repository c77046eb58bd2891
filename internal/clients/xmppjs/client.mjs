// xmpp.js as a test client: see the package comment of internal/clients for the arguments and for what it prints. device is what docs/clients.md shows.
import { client, xml } from "@xmpp/client";

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

  const { reconnect } = xmpp;
  xmpp.on("disconnect", () => (reconnect.delay = Math.min(2 * reconnect.delay, 60_000))); // of the attempt after the next
  xmpp.on("online", () => (reconnect.delay = 1000));
  xmpp.streamManagement.on("resumed", () => (reconnect.delay = 1000));

  xmpp.on("error", (error) => {
    if (error.name === "StreamError" && error.condition === "conflict") {
      reconnect.stop(); // it would be back after a second, for ever
      app.tellSignedOut(error.text, error.element.getChild("ended", OURS)?.attrs ?? {});
    } else if (error.name === "StanzaError") {
      denied(error.text, error.element.getChild("denied", OURS)?.attrs ?? { code: "unavailable" }, error.element);
    } else if (error.name === "SASLError") {
      reconnect.stop();
      xmpp.stop();
      app.tellLoginFailed(error.condition);
    }
  });

  async function denied(text, why, error) {
    if (why.code === "choose") {
      xmpp.token = (await app.askWhich(error.getChild("denied", OURS).getChildren("session").map((s) => s.attrs))).token;
    }
    if (why.code === "choose" || why.code === "unavailable") {
      await xmpp.disconnect(); // and reconnect binds again
    } else {
      reconnect.stop(); // no new attempt before the user wants one
      await xmpp.stop();
      app.tellDenied(text, why);
    }
  }

  return xmpp;
}

// What follows is for the test.
globalThis.WebSocket ??= (await import("ws")).WebSocket; // Node has its own from version 22 on

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
    tellLoginFailed: (text) => say("told", { text }),
    askWhich: (sessions) => {
      say("asked", { resources: sessions.map((s) => s.resource).join(" ") });
      return sessions[0];
    },
  };
  const xmpp = mode === "polite" ? device(options, app) : plain(client(options), say);
  xmpp.token = token;
  if (mode === "polite") {
    xmpp.on("error", (error) => {
      if (error.name === "StanzaError" && error.element.getChild("denied", OURS)?.attrs.code === "unavailable") say("later");
    });
  }
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
