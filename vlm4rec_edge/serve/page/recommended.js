// What is recommended, and why: each score drawn as the sum that it is.

import { ask, learnAbout, photo, query, recall, remember } from "./api.js";
import { counted, el, fault, framed, icon, redraw, say, signed, title } from "./dom.js";
import { change, onChange, state, toggle, where } from "./state.js";
import { chosenWay, isBothWays, ways } from "./ways.js";
import { said } from "./said.js";
import { askBothWays, showBothWays } from "./two-ways.js";

const SHOWN = 3;
const PARTS = ["reads alike", "bought together", "often bought"];
const place = document.getElementById("recommended");
let going = new AbortController();
let waiting;

export function startRecommended() {
  onChange((now, before) => {
    const parts = ["history", "variety", "by", "count", "within", ...(now.within ? ["filters"] : [])];
    if (parts.some((name) => now[name] !== before[name])) {
      clearTimeout(waiting);
      place.setAttribute("aria-busy", "true"); // what is shown is of before
      waiting = setTimeout(recommend, now.variety !== before.variety ? 120 : 0);
    }
  });
  return recommend();
}

const head = () => el("div", { className: "head" }, el("h2", { id: "recommended-title", textContent: "Recommended" }));

export async function recommend() {
  going.abort();
  going = new AbortController();
  const history = state.history.filter((one) => !one.away).map((one) => one.id);
  if (!history.length) {
    place.removeAttribute("aria-busy");
    redraw(place, head(), empty());
    return;
  }
  place.setAttribute("aria-busy", "true");
  if (!place.querySelector(".hit, .offer")) redraw(place, head(), bones());
  try {
    const body = {
      history,
      disliked: state.history.filter((one) => one.away).map((one) => one.id),
      k: state.count,
      diversity: state.variety,
      explain: true,
      where: state.within ? where() || null : null,
    };
    if (isBothWays()) {
      const { told, shown } = showBothWays(await askBothWays(body, going.signal), recommend);
      redraw(place, head(), shown);
      say(told);
      place.removeAttribute("aria-busy");
      return;
    }
    const representation = chosenWay() === ways()[0] ? null : chosenWay();
    const found = await ask("v1/recommend", { body: { ...body, representation }, signal: going.signal });
    remember(found.recommendations);
    await learnAbout([...new Set(found.recommendations.flatMap((hit) => hit.because.slice(0, SHOWN).map(sourceId)).filter(Boolean))]);
    show(found);
  } catch (error) {
    if (error.name === "AbortError") return;
    redraw(place, head(), fault(error, recommend));
  }
  place.removeAttribute("aria-busy");
}

const sourceId = (reason) => (reason.kind === "text" ? "" : reason.source);

function show(found) {
  const hits = found.recommendations;
  const most = Math.max(0.01, ...hits.flatMap((hit) => hit.because.map((reason) => Math.abs(reason.amount))));
  const highest = Math.max(0.01, ...hits.map((hit) => hit.score));
  const parts = PARTS.filter((name) => hits.some((hit) => hit.because.some((reason) => name in (reason.parts ?? {}))));
  redraw(
    place,
    head(),
    found.unknown.length
      ? el("p", { className: "hint", textContent: `Not in the index: ${found.unknown.join(", ")}.` })
      : null,
    parts.length ? legend(parts) : null,
    hits.length
      ? el("ol", { className: "hits" }, hits.map((hit) => card(hit, most, highest, parts)))
      : el("p", { className: "hint", textContent: "No item is left to recommend. Try fewer filters." }),
  );
  say(`${counted(hits.length, "recommendation")}, the first is ${hits.length ? title(hits[0]) : "none"}.`);
}

function legend(parts) {
  return el("p", { className: "legend" }, parts.map((name) => el("span", {}, el("i", { className: tone(name) }), name)));
}

const tone = (name) => `b${PARTS.indexOf(name) + 1 || 1}`;

function card(hit, most, highest, parts) {
  const name = title(hit);
  const open = () => change({ item: hit.item_id });
  return el(
    "li",
    { className: "hit" },
    el("button", { type: "button", className: "show", tabIndex: -1, "aria-hidden": "true", onclick: open }, framed(photo(hit.item_id, 130))),
    el(
      "div",
      {},
      el(
        "div",
        { className: "top" },
        el("button", { type: "button", className: "title", textContent: name, data: { key: `hit ${hit.item_id}` }, onclick: open }),
        el(
          "button",
          { type: "button", className: "round", title: "Add to the history", "aria-label": `Add ${name} to the history`, data: { key: `take ${hit.item_id}` }, onclick: () => toggle(hit.item_id) },
          icon("add"),
        ),
      ),
      said(hit),
      score(hit, highest),
      el("ul", { className: "why", "aria-label": "Why" }, reasons(hit, most, parts)),
    ),
  );
}

function score(hit, highest) {
  const track = el("span", { className: "track", "aria-hidden": "true" }, bar("bs", hit.score / highest));
  return el("p", { className: "score" }, el("span", { className: "unseen", textContent: "Score " }), track, el("span", { textContent: hit.score.toFixed(3) }));
}

function bar(className, share) {
  const made = el("i", { className });
  made.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return made;
}

function reasons(hit, most, parts) {
  const rows = hit.because.slice(0, SHOWN).map((reason) => row(reason, most, parts));
  const rest = hit.because.slice(SHOWN);
  if (rest.length) {
    const amount = rest.reduce((sum, reason) => sum + reason.amount, 0);
    rows.push(el("li", { className: "rest" }, el("span", { textContent: `${rest.length} more` }), el("span", { className: "amount", textContent: signed(amount) })));
  }
  return rows;
}

function row(reason, most, parts) {
  const isText = reason.kind === "text";
  const item = isText ? null : recall(reason.source);
  const name = isText ? `the words \u201c${reason.source}\u201d` : title(item);
  const tiny = isText ? el("span", { className: "tiny text", "aria-hidden": "true", textContent: "T" }) : small(item);
  const told = reason.kind === "disliked" ? `disliked ${name}` : name;
  const own = parts.filter((one) => Math.abs(reason.parts?.[one] ?? 0) >= 0.005);
  const sum = own.map((one) => `${one} ${signed(reason.parts[one])}`).join(", ");
  const bars = own.length ? own.map((one) => bar(tone(one) + (reason.parts[one] * reason.amount < 0 ? " minus" : ""), Math.abs(reason.parts[one]) / most)) : [bar("b1", Math.abs(reason.amount) / most)];
  return el(
    "li",
    { className: reason.amount < 0 ? "away" : "", title: sum },
    tiny,
    el("span", { className: "from" }, el("span", { textContent: told }), el("span", { className: "track", "aria-hidden": "true" }, bars), sum ? el("span", { className: "unseen", textContent: sum }) : null),
    el("span", { className: "amount", textContent: signed(reason.amount) }),
    reason.words.length ? el("span", { className: "shared" }, el("span", { className: "unseen", textContent: "Shared words: " }), reason.words.map((word) => el("span", { textContent: word }))) : null,
  );
}

function small(item) {
  const image = el("img", { alt: "", src: photo(item.id, 40), decoding: "async" });
  image.addEventListener("error", () => image.remove());
  return el("span", { className: "tiny" }, image);
}

function empty() {
  return el(
    "div",
    { className: "empty" },
    el("b", { textContent: "Nothing is known of this shopper yet" }),
    el("p", { textContent: "Add one or more items to the history. Recommendations appear here at once, with the reasons." }),
    el("button", { type: "button", className: "button", textContent: "Add three at random", data: { key: "random" }, onclick: random }),
  );
}

async function random(event) {
  event.currentTarget.disabled = true;
  try {
    const { total } = await ask("v1/items?limit=1");
    const places = new Set();
    while (places.size < Math.min(3, total)) places.add(Math.floor(Math.random() * total));
    const pages = await Promise.all([...places].map((skip) => ask(`v1/items?${query({ skip, limit: 1 })}`)));
    const items = pages.flatMap((page) => page.items);
    remember(items);
    change({ history: items.map((item) => ({ id: item.id, away: false })) });
  } catch (error) {
    redraw(place, head(), fault(error, recommend));
  }
}

function bones() {
  return [1, 2, 3].map(() =>
    el("div", { className: "hit waiting", "aria-hidden": "true" }, el("span", { className: "frame" }), el("span", { className: "words" })),
  );
}
