// What the words recommend and what the photos alone do, side by side, for the same history and the same filters.

import { ask, photo, remember } from "./api.js";
import { counted, el, fault, framed, icon, title } from "./dom.js";
import { said } from "./said.js";
import { change, toggle } from "./state.js";

const WAYS = { words: "By the words", photos: "By the photos" };

export async function askBothWays(body, signal) {
  const asked = Object.keys(WAYS).map((representation) => ask("v1/recommend", { body: { ...body, representation }, signal }));
  const found = await Promise.allSettled(asked);
  const stopped = found.find((one) => one.reason?.name === "AbortError");
  if (stopped) throw stopped.reason;
  for (const one of found) if (one.value) remember(one.value.recommendations);
  return found;
}

export function showBothWays(found, again) {
  const lists = found.map((one) => one.value?.recommendations ?? []);
  const both = new Set(lists[0].map((hit) => hit.item_id).filter((id) => lists[1].some((hit) => hit.item_id === id)));
  return {
    told: `${counted(lists[0].length, "recommendation")} by the words, ${lists[1].length} by the photos, ${both.size} by both.`,
    shown: [
      el("p", { className: "hint", textContent: `${both.size} of ${lists[0].length} are recommended by both. Underlined: words that captions of the history say too.` }),
      el("div", { className: "ways" }, Object.keys(WAYS).map((way, place) => column(way, found[place], both, again))),
    ],
  };
}

function column(way, found, both, again) {
  const name = `way-${way}`;
  const hits = found.value?.recommendations ?? [];
  const nothing = el("p", { className: "hint", textContent: "Nothing is left to recommend. Loosen the filters." });
  return el(
    "section",
    { className: "way", "aria-labelledby": name, data: { way } },
    el("h3", { id: name, textContent: WAYS[way] }),
    found.reason ? fault(found.reason, again) : hits.length ? el("ol", { className: "offers" }, hits.map((hit) => offer(way, hit, both.has(hit.item_id)))) : nothing,
  );
}

function offer(way, hit, isInBoth) {
  const name = title(hit);
  const open = () => change({ item: hit.item_id });
  return el(
    "li",
    { className: "offer", data: { id: hit.item_id } },
    el("button", { type: "button", className: "show", tabIndex: -1, "aria-hidden": "true", onclick: open }, framed(photo(hit.item_id, 170))),
    el(
      "div",
      {},
      el(
        "div",
        { className: "top" },
        el("button", { type: "button", className: "title", textContent: name, data: { key: `${way} ${hit.item_id}` }, onclick: open }),
        el(
          "button",
          { type: "button", className: "round", title: "Put into the history", "aria-label": `Put ${name} into the history`, data: { key: `take ${way} ${hit.item_id}` }, onclick: () => toggle(hit.item_id) },
          icon("add"),
        ),
      ),
      said(hit),
      el(
        "p",
        { className: "score" },
        el("span", { className: "unseen", textContent: "Score " }),
        el("span", { textContent: hit.score.toFixed(3) }),
        isInBoth ? el("span", { className: "both", textContent: "by both" }) : null,
      ),
    ),
  );
}
