// Asks for the token of a server that wants one, and has it kept as a cookie that no script can read.

import { ask, onSignIn } from "./api.js";
import { el } from "./dom.js";

const dialog = document.getElementById("sign-in");
let asking = null;

export function startSignIn() {
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  onSignIn(() => (asking ??= signIn().finally(() => (asking = null))));
}

async function signIn() {
  let problem = "";
  for (;;) {
    const token = await typed(problem);
    try {
      await ask("v1/session", { body: { token } });
      dialog.close();
      return;
    } catch (error) {
      problem = error.message;
    }
  }
}

function typed(problem) {
  return new Promise((done) => {
    const field = el("input", { id: "token", type: "password", autocomplete: "current-password", required: true, maxLength: 1000 });
    const form = el(
      "form",
      { className: "inside" },
      el("h2", { id: "sign-in-title", textContent: "This server needs its token" }),
      el("p", { className: "hint", textContent: "It was started with one; ask the person who started it." }),
      el("label", { "for": "token", textContent: "Token" }),
      field,
      problem ? el("p", { className: "fault", role: "alert", textContent: problem }) : null,
      el("button", { className: "button first", textContent: "Continue" }),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      done(field.value);
    });
    dialog.replaceChildren(form);
    if (!dialog.open) dialog.showModal();
    field.focus();
  });
}
