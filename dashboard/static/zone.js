"use strict";
// Fields for dates and times are in the reader's zone: it is sent along, and named beside them.
document.addEventListener("DOMContentLoaded", () => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone) return;
  for (const field of document.querySelectorAll("input[data-zone]")) {
    const form = field.form;
    const empty = [...form.querySelectorAll("input[type=datetime-local]")].every((i) => !i.value);
    if (field.value !== zone && !empty) continue; // what is in them was typed in that other zone
    field.value = zone;
    for (const name of form.querySelectorAll("[data-zone-name]")) name.textContent = zone;
  }
});
