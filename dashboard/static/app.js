"use strict";
// What makes pages nicer where there is a script: times in the reader's zone, questions in a dialog, ticks that count. Each works without it, too.
const bindgate = (() => {
  const root = document.documentElement;
  const texts = JSON.parse(root.dataset.texts || "{}");
  const say = (key, ...args) => (texts[key] ?? key).replace(/\{(\d)\}/g, (_, i) => args[i] ?? "");

  // Times.
  const zone = { dateStyle: "medium", timeStyle: "medium" };
  const calendar = new Intl.DateTimeFormat(root.lang, zone);
  const long = new Intl.DateTimeFormat(root.lang, { dateStyle: "full", timeStyle: "long" });
  const span = (ms) => {
    const s = Math.floor(ms / 1000);
    if (s < 60) return say("common.span.second", s);
    if (s < 3600) return say("common.span.minute", Math.floor(s / 60));
    if (s < 48 * 3600) return say("common.span.hour", Math.floor(s / 3600));
    return say("common.span.day", Math.floor(s / 86400));
  };
  const relative = (at) => {
    const ago = Date.now() - at;
    if (Math.abs(ago) < 5000) return say("common.time.now");
    return ago < 0 ? say("common.time.in", span(-ago)) : say("common.time.ago", span(ago));
  };
  const dressers = []; // what others have to do with a page that the server has made, before it is shown
  const dress = (within) => {
    for (const f of dressers) f(within);
    for (const t of within.querySelectorAll("time[datetime]")) {
      const at = Date.parse(t.dateTime);
      if (Number.isNaN(at)) continue;
      const text = "relative" in t.dataset ? relative(at) : "absolute" in t.dataset ? calendar.format(at) : null;
      if (text !== null && t.textContent !== text) t.textContent = text;
      const title = long.format(at);
      if (t.title !== title) t.title = title;
    }
  };

  // A page that the server has made, as a document with its times dressed: compared with this one it differs only in what has changed.
  const load = async (url) => {
    const answer = await fetch(url, { headers: { "X-Bindgate-Live": "1" }, credentials: "same-origin", cache: "no-store" });
    if (!answer.ok || answer.status === 204 || !(answer.headers.get("Content-Type") || "").startsWith("text/html")) {
      throw Object.assign(new Error("answer " + answer.status), { status: answer.status });
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    dress(page);
    return page;
  };

  // A question is a page with an .ask in it; a link or a form with data-dialog shows it above the page it was asked on.
  const ask = async (url) => {
    let question;
    try {
      question = (await load(url)).querySelector("#main .ask");
    } catch { /* the browser shows what is wrong */ }
    if (!question) {
      location.assign(url);
      return;
    }
    const dialog = document.createElement("dialog");
    dialog.append(document.adoptNode(question));
    const heading = question.querySelector("h1, h2");
    if (heading) {
      heading.id = heading.id || "question";
      dialog.setAttribute("aria-labelledby", heading.id);
    }
    dialog.addEventListener("close", () => dialog.remove());
    dialog.addEventListener("click", (e) => {
      if (e.target === dialog || e.target.closest("[data-close]")) {
        e.preventDefault();
        dialog.close();
      }
    });
    document.body.append(dialog);
    dialog.showModal();
    // Not its first field: the Enter that asked, if it is still pressed, would send the answer.
    if (heading && !question.querySelector("[autofocus]")) {
      heading.tabIndex = -1;
      heading.focus();
    }
    document.dispatchEvent(new CustomEvent("bindgate:dialog", { detail: dialog }));
  };
  document.addEventListener("click", (e) => {
    const a = e.target.closest("a[data-dialog]");
    if (!a || e.defaultPrevented || e.button !== 0 || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
    e.preventDefault();
    ask(a.href);
  });
  document.addEventListener("submit", (e) => {
    const form = e.target;
    if ("dialog" in form.dataset && form.method === "get") {
      e.preventDefault();
      const url = new URL(form.action);
      url.search = new URLSearchParams(new FormData(form, e.submitter)).toString();
      ask(url.href);
      return;
    }
    // The button's own value is read after this.
    setTimeout(() => form.querySelectorAll("button:not([type=button])").forEach((b) => { b.disabled = true; }));
  });
  window.addEventListener("pageshow", (e) => {
    if (e.persisted) document.querySelectorAll("form button:disabled").forEach((b) => { b.disabled = false; });
  });

  // Ticks: [data-tick-all=<name>] ticks all of that name; [data-ticked=<name>] shows how many there are; [data-needs=<name>] works if there are any.
  const count = () => {
    for (const all of document.querySelectorAll("[data-tick-all]")) {
      const boxes = [...document.querySelectorAll(`input[type=checkbox][name="${CSS.escape(all.dataset.tickAll)}"]`)];
      const n = boxes.filter((b) => b.checked).length;
      all.checked = n > 0 && n === boxes.length;
      all.indeterminate = n > 0 && n < boxes.length;
      document.querySelectorAll(`[data-ticked="${CSS.escape(all.dataset.tickAll)}"]`).forEach((s) => { s.textContent = n; });
      document.querySelectorAll(`[data-needs="${CSS.escape(all.dataset.tickAll)}"]`).forEach((b) => { b.disabled = n === 0; });
    }
  };
  document.addEventListener("change", (e) => {
    if (e.target.dataset.tickAll) {
      document.querySelectorAll(`input[type=checkbox][name="${CSS.escape(e.target.dataset.tickAll)}"]`).forEach((b) => { b.checked = e.target.checked; });
    }
    if (e.target.matches("input[type=checkbox]")) count();
    const auto = e.target.closest("form[data-auto]");
    if (auto && e.target.matches("select")) auto.requestSubmit();
  });

  // A typed confirmation: the button of a form works when [data-must-be] has that value.
  const confirmed = (within) => within.querySelectorAll("input[data-must-be]").forEach((i) => {
    const button = i.form.querySelector("[data-confirmed]");
    const look = () => { button.disabled = i.value.trim() !== i.dataset.mustBe; };
    i.addEventListener("input", look);
    look();
  });
  document.addEventListener("bindgate:dialog", (e) => confirmed(e.detail));

  document.addEventListener("keydown", (e) => {
    if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, textarea, select, dialog, [contenteditable]")) return;
    const search = document.querySelector(".search input");
    if (search) {
      e.preventDefault();
      search.focus();
    }
  });
  document.addEventListener("click", (e) => { // a menu made of details closes when something else is clicked
    document.querySelectorAll("details.drop[open]").forEach((d) => { if (!d.contains(e.target)) d.open = false; });
  });

  document.addEventListener("DOMContentLoaded", () => {
    root.classList.add("scripted");
    dress(document);
    count();
    confirmed(document);
    setInterval(() => dress(document), 5000);
  });
  return { say, dressers, dress, load, span, count };
})();
