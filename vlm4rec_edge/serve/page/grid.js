// The catalog as a grid as high as all its items, of which only what is seen is there: pages are fetched as they come into view.

import { ask, query, remember } from "./api.js";
import { counted, el, fault, RATIO } from "./dom.js";
import { onChange, state, where } from "./state.js";
import { mark, tile, waiting } from "./tile.js";

const PAGE = 60;
const WORDS = 76;
const GAP = 24;
// Browsers end a page at some 17 to 33 million pixels; a higher grid is scrolled through faster.
const HIGHEST = 15_000_000;

const grid = document.getElementById("grid");
const count = document.getElementById("count");
const notice = document.getElementById("notice");

let total = 0;
let asked = "";
let pages = new Map();
const shown = new Map();
let columns = 1;
let width = 0;
let height = 0;
let faster = 1;
let shift = 0;
let active = 0;
let going = new AbortController();

export function startGrid() {
  onChange((now, before) => {
    if (now.search !== before.search || now.filters !== before.filters) reload({ top: true });
    if (now.history !== before.history) for (const made of shown.values()) if (made.dataset.id) mark(made);
  });
  addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
  new ResizeObserver(() => measure() && draw()).observe(grid);
  grid.addEventListener("keydown", move);
  grid.addEventListener("focusin", (event) => {
    const place = event.target.closest(".tile")?.dataset.place;
    if (place !== undefined) activate(Number(place));
  });
  return reload({});
}

const condition = () => query({ where: where(), text: state.search });

export async function reload({ top = false } = {}) {
  const now = condition();
  going.abort();
  going = new AbortController();
  asked = now;
  grid.setAttribute("aria-busy", "true");
  try {
    const first = await ask(`v1/items?${now}&limit=${PAGE}`, { signal: going.signal });
    remember(first.items);
    if (asked !== now) return;
    total = first.total;
    pages = new Map([[0, first.items]]);
    keep(top ? 0 : total); // what is there stays until it is known to be another item
    active = top ? 0 : Math.min(active, Math.max(0, total - 1));
    if (top) scrollTo({ top: 0 });
    tell();
    measure();
    draw();
  } catch (error) {
    if (error.name === "AbortError") return;
    total = 0;
    pages = new Map();
    keep(0);
    measure();
    count.textContent = "";
    notice.replaceChildren(fault(error, () => reload({})));
  } finally {
    if (asked === now) grid.removeAttribute("aria-busy");
  }
}

// Take away the tiles from a place on.
function keep(end) {
  for (const [place, made] of shown) {
    if (place >= end) {
      made.remove();
      shown.delete(place);
    }
  }
}

function tell() {
  const filtered = Object.keys(state.filters).length > 0;
  const found = state.search ? `${counted(total, "item")} with \u201c${state.search}\u201d` : counted(total, "item");
  count.textContent = filtered ? `${found}, filtered` : found;
  const nothing = el(
    "div",
    { className: "empty" },
    el("b", { textContent: filtered ? "No results" : "No item contains these words" }),
    el("p", {
      textContent: filtered
        ? "No item matches the filters. Remove one to see more."
        : "Ids, titles and captions were searched.",
    }),
  );
  notice.replaceChildren(...(total ? [] : [nothing]));
}

// Return whether there is room to draw in.
function measure() {
  const room = grid.clientWidth;
  if (!room) return false;
  columns = Math.max(2, Math.floor((room + GAP) / ((room < 500 ? 140 : 176) + GAP)));
  const gap = room < 500 ? 14 : GAP;
  width = (room - gap * (columns - 1)) / columns;
  height = Math.round(width / RATIO) + WORDS + (room < 500 ? 8 : 16);
  const whole = Math.ceil(total / columns) * height;
  faster = whole > HIGHEST ? (whole - innerHeight) / (HIGHEST - innerHeight) : 1;
  grid.style.height = `${Math.min(whole, HIGHEST)}px`;
  for (const [place, made] of shown) put(made, place);
  return true;
}

// How much further the grid is than the page was scrolled: nothing, unless it is higher than a page can be.
function shifted(scrolled) {
  const end = HIGHEST - innerHeight;
  return Math.max(0, Math.min(scrolled, end)) * (faster - 1);
}

function put(made, place) {
  const gap = columns > 1 ? (grid.clientWidth - width * columns) / (columns - 1) : 0;
  made.style.width = `${width}px`;
  made.style.transform = `translate(${(place % columns) * (width + gap)}px, ${Math.floor(place / columns) * height - shift}px)`;
}

function draw() {
  if (!width) return;
  const scrolled = -grid.getBoundingClientRect().top;
  shift = shifted(scrolled);
  const top = scrolled + shift;
  const first = Math.max(0, Math.floor(top / height) - 2) * columns;
  const last = Math.min(total, (Math.ceil((top + innerHeight) / height) + 2) * columns);
  for (const [place, made] of shown) {
    const kept = (place >= first && place < last) || made.contains(document.activeElement);
    if (!kept) {
      made.remove();
      shown.delete(place);
    } else if (faster > 1) put(made, place);
  }
  for (let place = first; place < last; place++) {
    const item = itemAt(place);
    const made = shown.get(place);
    const told = item ? `${item.id}\n${item.title}\n${item.caption}` : "";
    if (made && (!item || made.told === told)) continue;
    const next = item ? tile(item, Math.round(width / RATIO), { reachable: place === active }) : waiting();
    next.told = told;
    next.dataset.place = place;
    next.setAttribute("aria-setsize", total);
    next.setAttribute("aria-posinset", place + 1);
    put(next, place);
    if (made) made.replaceWith(next);
    else insert(next, place);
    shown.set(place, next);
  }
}

// In the order of their places, which is that of a screen reader.
function insert(made, place) {
  const after = [...grid.children].find((other) => Number(other.dataset.place) > place);
  grid.insertBefore(made, after ?? null);
}

function itemAt(place) {
  const number = Math.floor(place / PAGE);
  const page = pages.get(number);
  if (page === undefined) load(number);
  return Array.isArray(page) ? page[place % PAGE] : undefined;
}

async function load(number) {
  const signal = going.signal;
  const own = pages;
  own.set(number, null);
  try {
    const page = await ask(`v1/items?${asked}&skip=${number * PAGE}&limit=${PAGE}`, { signal });
    remember(page.items);
    own.set(number, page.items);
    if (own === pages) draw();
  } catch (error) {
    if (error.name === "AbortError" || own !== pages) return;
    notice.replaceChildren(
      fault(error, () => {
        notice.replaceChildren();
        own.delete(number);
        draw();
      }),
    );
  }
}

function activate(place) {
  if (place === active) return;
  for (const [at, reachable] of [
    [active, -1],
    [place, 0],
  ]) {
    shown.get(at)?.querySelectorAll("button").forEach((button) => (button.tabIndex = reachable));
  }
  active = place;
}

// The arrow keys go from tile to tile, as in a table.
function move(event) {
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -active, End: total - 1 - active };
  const step = steps[event.key];
  if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
  const place = active + step;
  if (place < 0 || place >= total) return;
  event.preventDefault();
  const kind = event.target.classList.contains("more") ? ".more" : ".pick";
  const offset = grid.getBoundingClientRect().top + Math.floor(place / columns) * height - shift;
  const bar = 84;
  if (offset < bar) scrollBy({ top: (offset - bar) / faster });
  else if (offset + height > innerHeight) scrollBy({ top: (offset + height - innerHeight + 8) / faster });
  draw();
  activate(place);
  shown.get(place)?.querySelector(kind)?.focus({ preventScroll: true });
}
