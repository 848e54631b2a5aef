// Filters made of the catalog's own columns: choices where there are few values, a range of numbers, else a part of the text.

import { ask } from "./api.js";
import { counted, el, redraw } from "./dom.js";
import { change, filtersOf, onChange, state } from "./state.js";

const SHOWN = 6;
// Numbers of so few values are choices, such as sizes.
const FEW = 12;
const place = document.getElementById("filters");
let columns = [];
let isOpen = false;

export async function startFilters() {
  onChange((now, before) => {
    if (now.filters !== before.filters) draw();
  });
  addEventListener("click", (event) => {
    for (const one of place.querySelectorAll("details[open]")) if (!one.contains(event.target)) one.open = false;
  });
  addEventListener("keydown", (event) => {
    const one = event.key === "Escape" && place.querySelector("details[open]");
    if (one) {
      one.open = false;
      one.querySelector("summary").focus();
    }
  });
  await loadColumns();
}

export async function loadColumns() {
  try {
    columns = (await ask("v1/columns")).columns.filter((column) => kindOf(column) !== "");
  } catch {
    columns = []; // the grid tells what is wrong
  }
  draw();
  place.hidden = !columns.length;
}

function kindOf(column) {
  if (column.name === "title" || column.name === "caption" || column.distinct < 2) return "";
  if (column.least !== null && column.distinct > FEW) return "range";
  return column.distinct <= column.values.length ? "choices" : "part";
}

function draw() {
  const chosen = (column) => column.name in state.filters;
  const few = columns.length <= SHOWN + 1;
  const all = few || isOpen ? columns : columns.filter((column, number) => number < SHOWN || chosen(column));
  redraw(
    place,
    all.map(one),
    few ? null : pill(isOpen ? "Fewer filters" : "More filters", "more-filters", () => {
      isOpen = !isOpen;
      draw();
    }),
    Object.keys(state.filters).length ? pill("Clear filters", "clear", () => change({ filters: filtersOf({}) })) : null,
  );
}

const pill = (textContent, key, onclick) => el("button", { type: "button", className: "pill", textContent, data: { key }, onclick });

function one(column) {
  const chosen = state.filters[column.name];
  const open = place.querySelector(`details[open]`)?.dataset.column === column.name;
  return el(
    "details",
    { className: chosen ? "filter on" : "filter", open, name: "filter", data: { column: column.name } },
    el("summary", { data: { key: `filter ${column.name}` } }, label(column.name) + told(chosen)),
    el("div", { className: "choices" }, { choices, range, part }[kindOf(column)](column, chosen ?? {})),
  );
}

const label = (name) => name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");

function told(chosen) {
  if (!chosen) return "";
  if (chosen.in) return chosen.in.length === 1 ? `: ${chosen.in[0]}` : `: ${chosen.in.length}`;
  if (chosen.has) return `: ${chosen.has}`;
  return `: ${chosen.least ?? "\u2026"} to ${chosen.most ?? "\u2026"}`;
}

function set(name, chosen) {
  const filters = filtersOf(state.filters);
  if (chosen) filters[name] = chosen;
  else delete filters[name];
  change({ filters });
}

function choices(column, chosen) {
  const own = chosen.in ?? [];
  return column.values.map(({ value, items }) =>
    el(
      "label",
      {},
      el("input", {
        type: "checkbox",
        checked: own.includes(value),
        data: { key: `${column.name} ${value}` },
        onchange: (event) => {
          const next = event.target.checked ? [...own, value] : own.filter((other) => other !== value);
          set(column.name, next.length ? { in: next } : null);
        },
      }),
      el("span", { textContent: value }),
      el("small", { textContent: items.toLocaleString("en"), "aria-label": counted(items, "item") }),
    ),
  );
}

function range(column, chosen) {
  const field = (name, text, bound) =>
    el(
      "label",
      {},
      text,
      el("input", {
        type: "number",
        step: "any",
        value: chosen[name] ?? "",
        placeholder: bound,
        data: { key: `${column.name} ${name}` },
        onchange: (event) => {
          const next = { ...chosen, [name]: event.target.value === "" ? undefined : Number(event.target.value) };
          set(column.name, Number.isFinite(next.least) || Number.isFinite(next.most) ? next : null);
        },
      }),
    );
  return el("div", { className: "range" }, field("least", "From", column.least), field("most", "To", column.most));
}

function part(column, chosen) {
  return el(
    "label",
    { className: "part" },
    "Contains",
    el("input", {
      type: "text",
      maxLength: 100,
      value: chosen.has ?? "",
      data: { key: `${column.name} has` },
      onchange: (event) => set(column.name, event.target.value.trim() ? { has: event.target.value.trim() } : null),
    }),
  );
}
