"use strict";
// A button with data-copy=<id> puts the text of that element on the clipboard; without a script, or where the browser does not let pages, it is not there.
document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
        button.textContent = button.dataset.copied;
      } catch { button.hidden = true; }
    });
  }
});
