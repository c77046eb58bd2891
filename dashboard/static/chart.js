"use strict";
// Charts: the values of a time, by pointer and by keyboard, as its table has them; times in the reader's zone.
(() => {
  const forms = {
    time: new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
    day: new Intl.DateTimeFormat(document.documentElement.lang, { month: "short", day: "numeric" }),
  };
  bindgate.dressers.push((within) => {
    for (const t of within.querySelectorAll("[data-chart] text[data-at]")) {
      const text = forms[t.dataset.form].format(Date.parse(t.dataset.at));
      if (t.textContent !== text) t.textContent = text;
    }
  });

  const place = new WeakMap(); // of a chart: the step that is read
  const rowsOf = (box) => box.closest("[data-chart]").querySelectorAll("tbody tr");
  const hide = (box) => {
    place.delete(box);
    box.querySelector("[data-chart-read]").hidden = true;
    box.querySelector("[data-chart-cursor]").setAttribute("visibility", "hidden");
  };
  const show = (box, step) => {
    const rows = rowsOf(box);
    if (!rows.length) return;
    step = Math.min(Math.max(step, 0), rows.length - 1);
    place.set(box, step);
    const x = `${100 * (step + .5) / rows.length}%`;
    const cursor = box.querySelector("[data-chart-cursor]");
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    cursor.setAttribute("visibility", "visible");
    const heads = box.closest("[data-chart]").querySelectorAll("thead th");
    const read = box.querySelector("[data-chart-read]");
    const lines = [...rows[step].cells].map((cell, i) => {
      const line = document.createElement(i ? "span" : "strong");
      if (i) {
        const name = document.createElement("i"), value = document.createElement("b");
        name.textContent = heads[i].textContent + " ";
        value.textContent = cell.textContent;
        line.append(name, value);
      } else line.textContent = cell.textContent;
      return line;
    });
    read.replaceChildren(...lines);
    read.hidden = false;
    read.classList.toggle("on-left", step > rows.length / 2);
  };
  const stepAt = (box, x) => {
    const plot = box.querySelector(".chart-plot").getBoundingClientRect();
    return Math.floor(rowsOf(box).length * (x - plot.left) / plot.width);
  };
  document.addEventListener("pointermove", (e) => {
    const box = e.target.closest?.("[data-chart-box]");
    for (const other of document.querySelectorAll("[data-chart-box]")) if (other !== box && place.has(other) && other !== document.activeElement) hide(other);
    if (box) show(box, stepAt(box, e.clientX));
  }, { passive: true });
  document.addEventListener("pointerdown", (e) => {
    const box = e.target.closest?.("[data-chart-box]");
    if (box) show(box, stepAt(box, e.clientX));
  }, { passive: true });
  document.addEventListener("keydown", (e) => {
    const box = e.target.closest?.("[data-chart-box]");
    if (!box) return;
    const last = rowsOf(box).length - 1, at = place.get(box);
    const to = { ArrowLeft: (at ?? last + 1) - 1, ArrowRight: (at ?? -1) + 1, PageUp: (at ?? last + 10) - 10, PageDown: (at ?? -10) + 10, Home: 0, End: last }[e.key];
    if (e.key === "Escape") hide(box);
    else if (to === undefined) return;
    else show(box, to);
    e.preventDefault();
  });
  document.addEventListener("focusout", (e) => {
    if (e.target.matches?.("[data-chart-box]")) hide(e.target);
  });
  document.addEventListener("bindgate:fresh", () => {
    for (const box of document.querySelectorAll("[data-chart-box]")) if (place.has(box)) show(box, place.get(box));
  });
})();
