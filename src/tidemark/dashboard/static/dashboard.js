// Buttons that copy a figure's SQL. Without this file everything else works.
"use strict";

function showButtons(within) {
  for (const button of within.querySelectorAll("button.copy[hidden]")) {
    button.hidden = false;
  }
}

async function copy(button) {
  const code = button.parentElement.querySelector("code");
  let said = "Copied";
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    // Only a page of this machine or one with TLS may write to the clipboard, so the text is marked instead.
    getSelection().selectAllChildren(code);
    said = "Marked";
  }
  const before = button.firstChild.textContent;
  button.firstChild.textContent = said;
  setTimeout(() => { button.firstChild.textContent = before; }, 1500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.copy");
  if (button) {
    copy(button);
  }
});
document.addEventListener("htmx:afterSettle", () => showButtons(document));
showButtons(document);
