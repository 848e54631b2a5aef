// What is closest in meaning to the words that are searched for: a row above the items that hold them.

import { ask, query, remember } from "./api.js";
import { el } from "./dom.js";
import { onChange, state, where } from "./state.js";
import { mark, tile } from "./tile.js";

const SHOWN = 12;
const place = document.getElementById("meaning");
let going = new AbortController();
let cannot = "";

export function startMeaning() {
  onChange((now, before) => {
    if (now.search !== before.search || now.filters !== before.filters) find();
    if (now.history !== before.history) for (const made of place.querySelectorAll(".tile")) mark(made);
  });
  return find();
}

async function find() {
  going.abort();
  going = new AbortController();
  const words = state.search;
  if (!words) {
    place.hidden = true;
    return;
  }
  if (cannot) {
    show(el("p", { textContent: cannot }));
    return;
  }
  try {
    const found = await ask(`v1/search?${query({ q: words, k: SHOWN, where: where() })}`, { signal: going.signal });
    remember(found.recommendations);
    const tiles = found.recommendations.map((hit) => tile(hit, 160, { note: `closeness ${hit.score.toFixed(2)}` }));
    show(
      found.recommendations.length
        ? el("ul", { className: "row", tabIndex: 0, "aria-label": "Closest in meaning, nearest first" }, tiles)
        : el("p", { textContent: "No item matches the filters." }),
    );
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.status === 501) cannot = "Searching by meaning needs the text encoder that made the index, which is not on this machine.";
    show(el("p", { textContent: cannot || error.message }));
  }
}

function show(content) {
  place.hidden = false;
  place.replaceChildren(el("h2", { textContent: "Closest in meaning" }), content);
}
