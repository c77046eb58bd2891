"use strict";
// A page that changes by itself: one stream tells that something has happened, the page is fetched anew, and what has data-live is put in place. What the
// pointer or the focus is on does not move: rows that come wait behind a button, those that go are struck out, until the table is left.
(() => {
  const body = document.body;
  const url = body?.dataset.stream;
  const fresh = document.getElementById("fresh");
  if (!url || !fresh) return;
  const lost = document.getElementById("lost");

  let confirmed = Date.now(); // when the page was last known to be right
  let alive = false;
  const show = () => {
    fresh.classList.toggle("on", alive);
    fresh.classList.toggle("off", !alive && !lost.hidden);
    const ago = Date.now() - confirmed;
    const text = ago < 15000 && alive ? bindgate.say("common.fresh.live") : bindgate.say("common.fresh.ago", bindgate.span(ago));
    const line = fresh.querySelector("[data-fresh-text]");
    if (line.textContent !== text) line.textContent = text;
  };
  setInterval(show, 1000);

  let losing = 0;
  const isLost = () => {
    alive = false;
    losing ||= setTimeout(() => { lost.hidden = false; show(); }, 2500);
    show();
  };
  const isBack = () => {
    clearTimeout(losing);
    losing = 0;
    alive = true;
    lost.hidden = true;
    show();
  };

  // In place.
  const kept = new Set(["open", "checked", "value", "data-held"]);
  const sync = (a, b) => {
    for (const { name, value } of b.attributes) if (!kept.has(name) && a.getAttribute(name) !== value) a.setAttribute(name, value);
    for (const { name } of [...a.attributes]) if (!kept.has(name) && name !== "class" && !b.hasAttribute(name)) a.removeAttribute(name);
    if (!b.hasAttribute("class")) a.removeAttribute("class");
  };
  const key = (n) => n.nodeType === 1 ? n.getAttribute("data-key") || n.id || "" : "";
  const like = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);
  const used = (el) => el.matches(":hover") || el.contains(document.activeElement) && document.activeElement !== document.body;

  // morph makes a like b. With hold it only changes what does not move anything else, and tells whether that was all.
  const morph = (a, b, hold, force) => {
    if (a.nodeType !== 1) {
      if (a.data !== b.data) a.data = b.data;
      return true;
    }
    if (a.isEqualNode(b)) return true;
    if (a.hasAttribute("data-rows")) return rows(a, b, force);
    sync(a, b);
    if (a.matches("input, textarea, select")) return true; // what is typed stays
    const old = [...a.childNodes], now = [...b.childNodes];
    if (old.length === now.length && old.every((n, i) => like(n, now[i]))) {
      return old.reduce((all, n, i) => morph(n, now[i], hold, force) && all, true);
    }
    if (hold) return false;
    const byKey = new Map(old.filter(key).map((n) => [key(n), n]));
    const taken = new Set();
    let at = a.firstChild;
    for (const n of now) {
      let o = key(n) ? byKey.get(key(n)) : null;
      if (!o && at && !key(n) && like(at, n) && !taken.has(at)) o = at;
      if (o && like(o, n)) {
        taken.add(o);
        if (o === at) at = at.nextSibling; else a.insertBefore(o, at);
        morph(o, n, false, force);
      } else {
        taken.add(a.insertBefore(document.importNode(n, true), at));
      }
    }
    for (const o of [...a.childNodes]) if (!taken.has(o)) o.remove();
    return true;
  };

  const rows = (list, now, force) => {
    const box = list.closest(".table") || list.parentElement;
    const hold = !force && (used(box) || !!box.querySelector("input[type=checkbox]:checked, details[open]"));
    const old = new Map([...list.children].map((r) => [key(r), r]));
    const wanted = [...now.children];
    const names = new Set(wanted.map(key));
    let coming = 0, all = true;
    for (const [k, r] of old) {
      if (names.has(k)) { r.classList.remove("gone"); continue; }
      if (hold) { r.classList.add("gone"); all = false; } else r.remove();
    }
    let at = list.firstElementChild;
    for (const n of wanted) {
      const o = old.get(key(n));
      if (o) {
        morph(o, n, hold && used(o));
        if (!hold) { if (o === at) at = at.nextElementSibling; else list.insertBefore(o, at); }
      } else if (hold) {
        coming++;
      } else {
        const r = document.importNode(n, true);
        r.classList.add("new");
        list.insertBefore(r, at);
      }
    }
    let button = box.querySelector(":scope > .more-rows");
    if (coming === 0) button?.remove();
    else {
      all = false;
      if (!button) {
        button = Object.assign(document.createElement("button"), { type: "button", className: "more-rows" });
        button.addEventListener("click", () => { document.activeElement?.blur(); box.querySelectorAll("input:checked").forEach((i) => { i.checked = false; }); button.remove(); release(true); bindgate.count(); });
        box.prepend(button);
      }
      button.textContent = bindgate.say("common.live.new", coming);
    }
    return all;
  };

  let waiting = null; // the page that is not all in place yet
  const place = (page, force) => {
    let all = true;
    for (const now of page.querySelectorAll("[data-live]")) {
      const old = document.getElementById(now.id);
      if (!old) continue;
      const hold = !force && used(old);
      all = morph(old, now, hold, force) && all;
    }
    waiting = all ? null : page;
    bindgate.count();
  };
  const release = (force) => { if (waiting) place(waiting, force); };
  let leaving = 0;
  const left = () => { clearTimeout(leaving); leaving = setTimeout(() => release(false), 300); };
  document.addEventListener("pointerout", left, { passive: true });
  document.addEventListener("focusout", left);

  // Fetching: one at a time, at most once a second, and seldom if the server is slow.
  let busy = false, wanted = false, next = 0;
  const refresh = async () => {
    if (busy || document.hidden || Date.now() < next) { wanted = true; return; }
    busy = true;
    wanted = false;
    const begun = Date.now();
    let pause = 1000;
    try {
      const page = await bindgate.load(location.href);
      confirmed = begun;
      place(page, false);
      document.dispatchEvent(new CustomEvent("bindgate:fresh"));
    } catch (e) {
      if (e.status === 204) { location.reload(); return; } // nobody is logged in any more
      if (!e.status) isLost();
      wanted = true; // and the page is no fresher than it was
      pause = 5000;
    } finally {
      busy = false;
      next = Date.now() + Math.max(pause, 4 * (Date.now() - begun));
    }
    show();
  };
  setInterval(() => { if (wanted) refresh(); }, 250);
  const every = Number(body.dataset.every);
  if (every) setInterval(refresh, every * 1000);

  let stream, told = false;
  const open = () => {
    stream?.close();
    if (document.hidden) return; // a browser has six connections to a server: pages that nobody looks at keep none
    stream = new EventSource(url);
    stream.addEventListener("alive", () => {
      if (told && !alive) refresh(); // what has happened in between was not told
      told = true;
      isBack();
      if (!wanted && !busy) confirmed = Date.now();
    });
    stream.addEventListener("change", () => { isBack(); refresh(); });
    stream.onerror = () => {
      isLost();
      if (stream.readyState === EventSource.CLOSED) setTimeout(() => { open(); refresh(); }, 5000);
    };
  };
  open();
  document.addEventListener("visibilitychange", () => {
    open();
    if (!document.hidden) refresh(); // what has happened in between was not told
  });
  window.addEventListener("pagehide", () => stream?.close());
  window.addEventListener("pageshow", (e) => { if (e.persisted) { open(); refresh(); } });
})();
