// The state of the index: how many items, whether a run is at work, what it could not use; looked at every few seconds.

import { ask } from "./api.js";
import { counted, el, icon } from "./dom.js";

const SECONDS = 4;
const button = document.getElementById("status");
const text = document.getElementById("status-text");
const dialog = document.getElementById("about");
let now = null;
let info = null;

export async function startStatus(onNews) {
  button.addEventListener("click", open);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  await look(onNews);
  setInterval(() => document.hidden || look(onNews), SECONDS * 1000);
  document.addEventListener("visibilitychange", () => document.hidden || look(onNews));
}

async function look(onNews) {
  let next;
  try {
    next = await ask("v1/state");
  } catch (error) {
    button.dataset.state = "fault";
    text.textContent = error.status ? error.message : "No answer";
    return;
  }
  const isNews = now === null || next.generation !== now.generation;
  now = next;
  document.getElementById("shop-name").textContent = next.name;
  document.title = `${next.name} \u00b7 vlm4rec-edge`;
  button.dataset.state = next.problem ? "fault" : next.writer ? "busy" : "still";
  const left = next.left_out ? `, ${next.left_out.toLocaleString("en")} left out` : "";
  text.textContent = `${next.writer ? "Indexing: " : ""}${counted(next.items, "item")}${left}`;
  if (isNews) {
    info = await ask("v1/info").catch(() => info);
    onNews(next, info);
  }
  if (dialog.open) draw();
}

function open() {
  if (now === null) return;
  draw();
  dialog.showModal();
}

function draw() {
  const rows = [
    ["index", now.index],
    ["items", now.items.toLocaleString("en")],
    ["state", now.writer ? `being written by ${now.writer}` : "not being written"],
    ["problem", now.problem],
    ["captions by", info?.grounding?.name ?? (info?.grounding?.imported ? "a table" : "nothing")],
    ["vectors by", info ? `${info.encoder?.name ?? "?"}, of ${info.encoded_text}` : ""],
    ["searched", info?.method === "exact" ? "exactly" : (info?.method ?? "")],
    ["learned", learned(info?.learned)],
    ["version", now.version],
  ].filter(([, value]) => value);
  dialog.replaceChildren(
    el("button", { type: "button", className: "round close", "aria-label": "Close", onclick: () => dialog.close() }, icon("remove")),
    el(
      "div",
      { className: "inside" },
      el("h2", { id: "about-title", textContent: now.name }),
      el("h3", { textContent: "The index" }),
      el("dl", { className: "fields" }, rows.flatMap(([name, value]) => [el("dt", { textContent: name }), el("dd", { textContent: value })])),
      el("h3", { textContent: now.left_out ? `Left out by the last run: ${now.left_out.toLocaleString("en")}` : "Nothing was left out by the last run" }),
      el("ul", { className: "left-out" }, now.failures.map((one) => el("li", {}, el("b", { textContent: `${one.where} ` }), one.reason))),
      now.left_out > now.failures.length ? el("p", { className: "hint", textContent: `The first ${now.failures.length} are shown.` }) : null,
    ),
  );
}

function learned(told) {
  if (!told || !told.purchases) return "nothing from purchases";
  return `from ${counted(told.purchases, "purchase")} of ${counted(told.users, "user")} on ${told.learned_at}`;
}
