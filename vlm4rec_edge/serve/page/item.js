// An item's own page: its photos, caption and fields, what is near it, and what made it.

import { ask, itemPath, learnAbout, photo, recall, remember } from "./api.js";
import { el, fault, framed, icon, title } from "./dom.js";
import { change, isIn, onChange, state, toggle } from "./state.js";
import { tile } from "./tile.js";

const dialog = document.getElementById("item");
let info = null;
let shownId = "";

export function startItem() {
  dialog.addEventListener("close", () => {
    if (state.item) change({ item: "" });
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  onChange((now, before) => {
    if (now.item !== before.item) open();
    else if (now.item && now.history !== before.history) draw(recall(now.item));
  });
  open();
}

export function tellMakers(told) {
  info = told;
  if (state.item && dialog.querySelector(".do")) draw(recall(state.item));
}

const close = () =>
  el("button", { type: "button", className: "round close", "aria-label": "Close", onclick: () => dialog.close() }, icon("remove"));

async function open() {
  const id = state.item;
  shownId = id;
  if (!id) {
    if (dialog.open) dialog.close();
    return;
  }
  dialog.replaceChildren(close(), el("div", { className: "inside" }, el("h2", { id: "item-title", textContent: title(recall(id)) })));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  try {
    await learnAbout([id]);
    const item = await ask(itemPath(id));
    remember([item]);
    if (shownId === id) draw(item);
    const near = await ask(`${itemPath(id)}/similar?k=10`);
    remember(near.recommendations);
    if (shownId === id) neighbours(near.recommendations);
  } catch (error) {
    if (shownId === id) dialog.querySelector(".inside").append(fault(error, open));
  }
}

function draw(item) {
  const name = title(item);
  const photos = item.photos?.length ? item.photos : [item];
  const large = el("div", { className: "shown" }, sized(item.id, 1));
  const chosen = isIn(item.id);
  const content = el(
    "div",
    { className: "inside item" },
    el("div", {}, large, photos.length > 1 ? thumbs(item, photos, large) : null),
    el(
      "div",
      {},
      el("h2", { id: "item-title", textContent: name }),
      el("p", { className: "id", textContent: item.id }),
      item.caption ? el("p", { className: "caption", textContent: item.caption }) : null,
      el(
        "div",
        { className: "do" },
        el("button", { type: "button", className: chosen ? "button" : "button first", textContent: chosen ? "Remove from the history" : "Add to the history", onclick: () => toggle(item.id) }),
      ),
      fields(Object.entries(item.attributes ?? {})),
      info ? el("h3", { textContent: "What made it" }) : null,
      info ? fields(makers(item)) : null,
    ),
  );
  const before = dialog.querySelector(".neighbours");
  const wasInside = dialog.querySelector(".do")?.contains(document.activeElement);
  dialog.replaceChildren(close(), content, before ?? el("div", { className: "neighbours" }));
  if (wasInside) dialog.querySelector(".do button").focus();
}

function sized(id, number) {
  const frame = framed(photo(id, 640, number));
  frame.classList.add("large");
  return frame;
}

function thumbs(item, photos, large) {
  return el(
    "div",
    { className: "thumbs", role: "group", "aria-label": "Photos" },
    photos.map((one, place) =>
      el("button", { type: "button", "aria-label": `Photo ${place + 1}: ${one.caption || title(item)}`, onclick: () => large.replaceChildren(sized(item.id, place + 1)) }, framed(photo(item.id, 80, place + 1))),
    ),
  );
}

function fields(pairs) {
  const told = pairs.filter(([, value]) => value !== "" && value !== undefined && value !== null);
  return el("dl", { className: "fields" }, told.flatMap(([name, value]) => [el("dt", { textContent: String(name).replaceAll("_", " ") }), el("dd", { textContent: value })]));
}

function makers(item) {
  const captioner = info.grounding ?? {};
  const said = captioner.imported ? `imported from ${captioner.source ?? "a table"}` : captioner.name;
  return [
    ["caption", item.caption ? said : "none"],
    ["prompt", item.caption && !captioner.imported ? captioner.prompt : ""],
    ["vector", `${info.encoder?.name ?? "?"}, ${info.dimensions} values, of ${info.encoded_text}`],
    ["photo", item.image],
  ];
}

function neighbours(found) {
  const place = dialog.querySelector(".neighbours");
  if (!place || !found.length) return;
  place.replaceChildren(
    el("h3", { textContent: "Most similar items" }),
    el("ul", { className: "row", tabIndex: 0, "aria-label": "Nearest items, the nearest first" }, found.map((hit) => tile(hit, 165, { note: `closeness ${hit.score.toFixed(2)}` }))),
  );
}
