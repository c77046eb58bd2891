// Strophe.js as a test client, in a page of its own: see the package comment of internal/clients for what a login is and for what it says. Device is what
// docs/clients.md shows.
import { Strophe, $iq } from "strophe.js";

const OURS = "urn:bindgate:1";

class Device extends Strophe.Connection {
  token = ""; // of a grant, or of the session that the user chose to sign out
  lang = "en";
  delay = 1; // seconds before the next attempt

  constructor(service, app) {
    super(service, { explicitResourceBinding: true });
    this.app = app;
    const check = this._proto._checkStreamError?.bind(this._proto); // over WebSocket a stream error does not come to xmlInput
    if (check) {
      this._proto._checkStreamError = (element, status) => {
        this.streamEnded(element);
        return check(element, status);
      };
    }
  }

  signIn(jid, password) {
    this.signedOut = false;
    this.connect(jid, password, (status) => {
      if (status === Strophe.Status.BINDREQUIRED) this.bind();
      if (status === Strophe.Status.CONNECTED) this.delay = 1;
      if (status === Strophe.Status.AUTHFAIL) {
        this.signedOut = true;
        this.app.tellLoginFailed();
        this.disconnect();
      }
      if (status === Strophe.Status.DISCONNECTED && !this.signedOut) {
        this.reset();
        setTimeout(() => this.signedOut || this.signIn(jid, password), this.delay * 1000);
        this.delay = Math.min(2 * this.delay, 60);
      }
    });
  }

  // Over BOSH whatever comes in. The text of a stream error and <ended/> are nowhere else to be had.
  xmlInput(element) {
    this.streamEnded(element);
  }

  streamEnded(element) {
    const conflict = element.getElementsByTagNameNS("urn:ietf:params:xml:ns:xmpp-streams", "conflict")[0];
    if (conflict) {
      this.signedOut = true;
      const text = conflict.parentNode.getElementsByTagName("text")[0];
      this.app.tellSignedOut(text?.textContent, attributes(conflict.parentNode.getElementsByTagNameNS(OURS, "ended")[0]));
    }
  }

  // In place of Strophe's own, to name the language and to bring a token.
  bind() {
    const iq = $iq({ type: "set", id: this.getUniqueId("bind"), "xml:lang": this.lang })
      .c("bind", { xmlns: Strophe.NS.BIND })
      .c("resource").t(Strophe.getResourceFromJid(this.jid)).up();
    if (this.token) iq.c("takeover", { xmlns: OURS, token: this.token });
    this._addSysHandler((answer) => this.bound(answer), null, null, null, iq.tree().getAttribute("id"));
    this.send(iq);
  }

  bound(answer) {
    if (answer.getAttribute("type") !== "error") return this._onResourceBindResultIQ(answer);
    const why = answer.getElementsByTagNameNS(OURS, "denied")[0];
    const code = why?.getAttribute("code") ?? "unavailable";
    if (code === "choose") {
      this.token = this.app.askWhich([...why.children].map(attributes)).token;
      this.bind(); // again, on the same stream
    } else if (code === "unavailable") {
      this.disconnect(); // like a lost network
    } else {
      this.signedOut = true; // no new attempt before the user wants one
      this.app.tellDenied(answer.getElementsByTagName("text")[0]?.textContent, attributes(why));
      this.disconnect();
    }
  }
}

function attributes(element) {
  return Object.fromEntries([...(element?.attributes ?? [])].filter((a) => a.name !== "xmlns").map((a) => [a.name, a.value]));
}

// What follows is for the test.
let sent = Promise.resolve(); // one request after the other, to keep the order

function run(service, domain, login) {
  const [user, resource, lang, mode, token] = login.split("/");
  const say = (what, more) => {
    const body = JSON.stringify({ what, user, ...more }) + "\n";
    sent = sent.then(() => fetch("/said", { method: "POST", body }));
  };
  const app = {
    tellSignedOut: (text, ended) => say("told", { text, ...ended }),
    tellDenied: (text, why) => say("told", { text, ...why }),
    tellLoginFailed: () => say("told", { text: "" }),
    askWhich: (sessions) => {
      say("asked", { resources: sessions.map((s) => s.resource).join(" ") });
      return sessions[0];
    },
  };
  const polite = mode === "polite";
  const connection = polite ? new Device(service, app) : new Strophe.Connection(service);
  Object.assign(connection, { token, lang });
  const bound = connection.bound;
  if (polite) connection.bound = function (answer) {
    if (answer.getElementsByTagNameNS(OURS, "denied")[0]?.getAttribute("code") === "unavailable") say("later");
    return bound.call(this, answer);
  };

  if (!polite) connection.xmlInput = (element) => {
    const error = element.getElementsByTagNameNS(Strophe.NS.STREAM, "error")[0] ?? (element.localName === "error" && element);
    if (error && error.namespaceURI === Strophe.NS.STREAM) {
      const text = error.getElementsByTagName("text")[0];
      say("ended", {
        condition: error.firstElementChild.localName,
        text: text?.textContent ?? "",
        lang: text?.getAttribute("xml:lang") ?? "",
        ...attributes(error.getElementsByTagNameNS(OURS, "ended")[0]),
      });
    }
  };
  const watch = (status, condition, element) => {
    if (status === Strophe.Status.CONNECTED) say("online", { jid: connection.jid });
    if (polite) return;
    if (status === Strophe.Status.ERROR) say("ended", { condition });
    if (status === Strophe.Status.DISCONNECTED) say("closed", { condition: condition ?? "" });
    if (status === Strophe.Status.AUTHFAIL && element) {
      const error = element.getElementsByTagName("error")[0];
      say("denied", {
        condition: error.firstElementChild.localName,
        type: error.getAttribute("type"),
        text: error.getElementsByTagName("text")[0]?.textContent ?? "",
        ...attributes(error.getElementsByTagNameNS(OURS, "denied")[0]),
      });
    }
  };
  const connect = connection.connect.bind(connection);
  connection.connect = (jid, password, callback) =>
    connect(jid, password, (...told) => {
      watch(...told);
      callback?.(...told);
    });
  const jid = `${user}@${domain}/${resource}`;
  if (polite) connection.signIn(jid, "pw");
  else connection.connect(jid, "pw");
}

Strophe.setLogLevel?.(Strophe.LogLevel.FATAL); // a connection that ends is no fault of the page
const { service, domain, logins } = JSON.parse(document.getElementById("config").textContent);
for (const login of logins) run(service, domain, login);
