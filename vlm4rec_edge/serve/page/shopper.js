// The history as a strip, and how to recommend from it.

import { learnAbout, photo, recall } from "./api.js";
import { counted, el, framed, icon, redraw, say, title } from "./dom.js";
import { change, onChange, state } from "./state.js";
import { chosenWay, tellWays, wayName, ways } from "./ways.js";

const strip = document.getElementById("history");
const controls = document.getElementById("controls");
const bubble = document.getElementById("history-count");
let about = { representations: ["words"] };
let made = "";

export async function startShopper() {
  onChange((now, before) => {
    if (now.history !== before.history) drawHistory();
    if (now.by !== before.by) tellWays(about.representations);
    if (now.filters !== before.filters || now.by !== before.by || now.count !== before.count) drawControls();
  });
  drawHistory();
  drawControls();
}

export function tellAbout(told, info) {
  about = told;
  made = encoded(info);
  tellWays(told.representations);
  drawControls();
}

function encoded(info) {
  const [kind, share] = (info?.encoded_text ?? "").split(":");
  if (info?.items && info.without_title === info.items) return "captions of the photos";
  const own = Number(share) || 0.9;
  const names = {
    title: "titles",
    caption: "captions of the photos",
    title_caption: "titles and captions together",
    weighted: `titles (${own}) and captions (${(1 - own).toFixed(2).replace(/0$/, "")})`,
  };
  return names[kind] ?? "their texts";
}

async function drawHistory() {
  const { history } = state;
  try {
    await learnAbout(history.map((one) => one.id));
  } catch {
    // without their titles; the recommendations tell what is wrong
  }
  bubble.textContent = history.length;
  bubble.hidden = !history.length;
  const head = el(
    "div",
    { className: "head" },
    el("h2", { id: "history-title", textContent: "History" }),
    button("Copy link", "copy", copy, false),
    button("Empty", "empty", () => change({ history: [] }), !history.length),
  );
  const items = history.map((one, place) => card(recall(one.id), one.away, place, history.length));
  redraw(
    strip,
    head,
    history.length
      ? el("ol", { className: "strip", data: { scrolls: "strip" }, tabIndex: 0, "aria-label": "History, the oldest first" }, items)
      : el("p", { className: "hint", textContent: "What was bought, the oldest first. Click items of the catalog to add them." }),
  );
}

const button = (textContent, key, onclick, disabled) => el("button", { type: "button", textContent, data: { key }, onclick, disabled });

function card(item, away, place, count) {
  const name = title(item);
  const entry = el(
    "li",
    { className: away ? "away" : "", draggable: true, data: { place } },
    el(
      "button",
      { type: "button", className: "show", "aria-label": `About ${name}`, data: { key: `show ${item.id}` }, onclick: () => change({ item: item.id }) },
      framed(photo(item.id, 120)),
      el("span", { className: "label", textContent: name }),
    ),
    el(
      "div",
      { className: "tools", role: "group", "aria-label": name },
      tool("earlier", `Move ${name} earlier`, item.id, () => shift(place, -1), place === 0),
      tool("later", `Move ${name} later`, item.id, () => shift(place, 1), place === count - 1),
      tool("dislike", away ? `${name} is disliked; like it again` : `Dislike ${name}`, item.id, () => turn(place), false, away),
      tool("remove", `Remove ${name} from the history`, item.id, () => take(place)),
    ),
  );
  entry.addEventListener("dragstart", (event) => event.dataTransfer.setData("text/plain", String(place)));
  entry.addEventListener("dragover", (event) => {
    event.preventDefault();
    entry.classList.add("over");
  });
  entry.addEventListener("dragleave", () => entry.classList.remove("over"));
  entry.addEventListener("drop", (event) => {
    event.preventDefault();
    const from = Number(event.dataTransfer.getData("text/plain"));
    if (Number.isInteger(from)) shift(from, place - from);
  });
  return entry;
}

function tool(name, label, id, onclick, disabled = false, pressed = undefined) {
  const data = { key: `${name} ${id}` };
  return el("button", { type: "button", title: label, "aria-label": label, "aria-pressed": pressed, disabled, data, onclick }, icon(name));
}

function shift(place, by) {
  const history = [...state.history];
  const [moved] = history.splice(place, 1);
  if (!moved) return;
  history.splice(Math.max(0, place + by), 0, moved);
  change({ history });
  say(`${title(recall(moved.id))} is now number ${history.indexOf(moved) + 1} of ${history.length}.`);
}

function turn(place) {
  change({ history: state.history.map((one, at) => (at === place ? { ...one, away: !one.away } : one)) });
}

function take(place) {
  change({ history: state.history.filter((_, at) => at !== place) });
}

async function copy(event) {
  const pressed = event.currentTarget;
  try {
    await navigator.clipboard.writeText(location.href);
    pressed.textContent = "Copied";
    say("The link is copied. It opens the same view for everyone.");
  } catch {
    pressed.textContent = "Copy the address above";
  }
  setTimeout(() => (pressed.textContent = "Copy link"), 2500);
}

function drawControls() {
  const variety = el("output", { textContent: state.variety.toFixed(2), "for": "variety" });
  const slider = el("input", {
    id: "variety",
    type: "range",
    min: 0,
    max: 1,
    step: 0.05,
    value: String(state.variety),
    data: { key: "variety" },
    oninput: (event) => {
      variety.textContent = Number(event.target.value).toFixed(2);
      change({ variety: Number(event.target.value) });
    },
  });
  const filtered = Object.keys(state.filters).length > 0;
  redraw(
    controls,
    el("div", { className: "control" }, el("label", { "for": "variety", textContent: "Diversity" }), slider, variety),
    el(
      "div",
      { className: "control" },
      el("span", { id: "by", textContent: "Compared by" }),
      ways().length > 1
        ? segments("by", ways().map((way) => [way, wayName(way)]), chosenWay(), (value) => change({ by: value === ways()[0] ? "" : value }))
        : el("span", { className: "wide", textContent: about.representations[0] === "learned" ? "texts, and what was bought together" : made || "\u2026" }),
    ),
    el(
      "div",
      { className: "control" },
      el("span", { id: "count-label", textContent: "How many" }),
      segments("count-label", [6, 12, 24, 48].map((count) => [String(count), String(count)]), String(state.count), (value) => change({ count: Number(value) })),
    ),
    filtered
      ? el(
          "label",
          { className: "check" },
          el("input", { type: "checkbox", checked: state.within, data: { key: "within" }, onchange: (event) => change({ within: event.target.checked }) }),
          "Recommend only what matches the filters",
        )
      : null,
  );
}

function segments(label, choices, chosen, set) {
  return el(
    "span",
    { className: "segments wide", role: "radiogroup", "aria-labelledby": label },
    choices.map(([value, text]) =>
      el(
        "label",
        {},
        el("input", { type: "radio", name: label, value, checked: value === chosen, data: { key: `${label} ${value}` }, onchange: () => set(value) }),
        el("span", { textContent: text }),
      ),
    ),
  );
}

export const itemsIn = () => counted(state.history.length, "item");
