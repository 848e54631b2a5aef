// One item as a tile: its photo and words are the button that puts it into the history; a second button opens its page.

import { photo } from "./api.js";
import { el, framed, icon, title } from "./dom.js";
import { change, isIn, toggle } from "./state.js";

export function tile(item, pixels, { tag = "li", note = "", reachable = true } = {}) {
  const id = item.id ?? item.item_id;
  const name = title(item);
  const badge = el("span", { className: "badge" });
  const pick = el(
    "button",
    { type: "button", className: "pick", tabIndex: reachable ? 0 : -1, data: { key: `pick ${id}` }, onclick: () => toggle(id) },
    framed(photo(id, pixels), badge),
    el(
      "span",
      { className: "words" },
      el("b", { textContent: name }),
      note ? el("span", { className: "near", textContent: note }) : null,
      el("span", { textContent: item.caption || description(item) }),
    ),
  );
  const more = el(
    "button",
    {
      type: "button",
      className: "more",
      tabIndex: reachable ? 0 : -1,
      "aria-label": `About ${name}`,
      data: { key: `more ${id}` },
      onclick: () => change({ item: id }),
    },
    icon("more"),
  );
  const made = el(tag, { className: "tile", data: { id } }, pick, more);
  mark(made);
  return made;
}

// Show whether an item is in the history.
export function mark(made) {
  const pick = made.querySelector(".pick");
  const chosen = isIn(made.dataset.id);
  if (pick.getAttribute("aria-pressed") === String(chosen)) return;
  pick.setAttribute("aria-pressed", chosen);
  pick.querySelector(".badge").replaceChildren(icon(chosen ? "there" : "add"));
}

export function waiting() {
  return el(
    "li",
    { className: "tile waiting", "aria-hidden": "true" },
    el("span", { className: "frame" }),
    el("span", { className: "words" }),
  );
}

// Where nothing was captioned, what the catalog says.
export function description(item) {
  const attributes = item.attributes ?? {};
  return attributes.description ?? Object.values(attributes).slice(0, 3).join(", ");
}
