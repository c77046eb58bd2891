"use strict";
(() => {
  const input = document.getElementById("find");
  const found = document.getElementById("found");
  const menu = document.querySelector(".menu");
  const articles = [...document.querySelectorAll("[data-find]")];
  const groups = [...document.querySelectorAll("[data-group]")];
  const entries = new Map([...document.querySelectorAll("[data-of]")].map((li) => [li.dataset.of, li]));
  const narrow = window.matchMedia("(max-width: 56rem)");

  document.querySelector(".find").hidden = false;
  menu.open = !narrow.matches;
  narrow.addEventListener("change", () => { menu.open = !narrow.matches; });
  menu.addEventListener("click", (e) => { if (narrow.matches && e.target.closest("a")) menu.open = false; });

  const search = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const a of articles) {
      a.hidden = !words.every((w) => a.dataset.find.includes(w));
      entries.get(a.id).hidden = a.hidden;
      count += a.hidden ? 0 : 1;
    }
    for (const g of groups) g.hidden = !g.querySelector("article:not([hidden]), li:not([hidden])");
    document.querySelector("[data-lead]").hidden = words.length > 0;
    found.textContent = words.length ? (count === 1 ? "1 operation" : count + " operations") + " found" : "";
    if (words.length) window.scrollTo(0, 0);
  };
  input.addEventListener("input", search);
  input.addEventListener("keydown", (e) => {
    if (e.key === "Escape") { input.value = ""; search(); }
    if (e.key === "Enter") { const first = articles.find((a) => !a.hidden); if (first) location.hash = first.id; }
  });
  document.addEventListener("keydown", (e) => {
    if (e.key === "/" && !e.ctrlKey && !e.metaKey && !e.altKey && e.target !== input) { e.preventDefault(); input.focus(); input.select(); }
  });
  // A link leads to something that the search hides: show all again.
  window.addEventListener("hashchange", () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.closest("[hidden]")) { input.value = ""; search(); target.scrollIntoView(); }
  });

  // The entry of the operation that is read is marked and kept in sight.
  let current;
  const watch = new IntersectionObserver((seen) => {
    for (const s of seen) {
      if (!s.isIntersecting) continue;
      if (current) current.removeAttribute("aria-current");
      current = entries.get(s.target.id).querySelector("a");
      current.setAttribute("aria-current", "true");
      if (!narrow.matches) current.scrollIntoView({ block: "nearest", behavior: "instant" });
    }
  }, { rootMargin: "-15% 0px -80% 0px" });
  for (const a of articles) watch.observe(a);
})();
