// All that a person has chosen, in one place and in the link: behind the #, which a browser never sends to a server.

const EMPTY = { history: [], search: "", filters: filtersOf({}), variety: 0, by: "", count: 12, within: false, item: "" };
const OURS = "ours";
const listeners = new Set();
export let state = read();

function read() {
  const told = new URLSearchParams(location.hash.slice(1));
  const history = [];
  for (const [name, value] of told) {
    if ((name === "h" || name === "n") && value && !history.some((one) => one.id === value)) {
      history.push({ id: value, away: name === "n" });
    }
  }
  return {
    history,
    search: told.get("q") ?? "",
    filters: readFilters(told.get("f")),
    variety: Math.min(1, Math.max(0, Number(told.get("v")) || 0)),
    by: told.get("by") ?? "",
    count: [6, 12, 24, 48].includes(Number(told.get("k"))) ? Number(told.get("k")) : EMPTY.count,
    within: told.get("w") === "1",
    item: told.get("i") ?? "",
  };
}

function readFilters(text) {
  try {
    const found = JSON.parse(text ?? "{}");
    return filtersOf(found && typeof found === "object" && !Array.isArray(found) ? found : {});
  } catch {
    return filtersOf({});
  }
}

// What is chosen, by column. Without a prototype: a column may be called constructor, or __proto__.
export function filtersOf(chosen) {
  return Object.assign(Object.create(null), chosen);
}

function written() {
  const told = new URLSearchParams();
  for (const one of state.history) told.append(one.away ? "n" : "h", one.id);
  if (state.search) told.set("q", state.search);
  if (Object.keys(state.filters).length) told.set("f", JSON.stringify(state.filters));
  if (state.variety) told.set("v", state.variety);
  if (state.by) told.set("by", state.by);
  if (state.count !== EMPTY.count) told.set("k", state.count);
  if (state.within) told.set("w", "1");
  if (state.item) told.set("i", state.item);
  return told.toString();
}

history.replaceState(OURS, "");

// Change some of it. Opening an item is a step that "back" undoes.
export function change(part) {
  const before = state;
  state = { ...state, ...part };
  const opened = state.item && state.item !== before.item;
  history[opened ? "pushState" : "replaceState"](OURS, "", `#${written()}`);
  tell(before);
}

export function onChange(listen) {
  listeners.add(listen);
}

function tell(before) {
  for (const listen of listeners) listen(state, before);
}

// "Back" closes an item and leaves the rest as it is now; a link that somebody types or follows is read as a whole.
addEventListener("popstate", (event) => {
  const before = state;
  const told = read();
  state = event.state === OURS ? { ...state, item: told.item } : told;
  if (event.state === OURS) history.replaceState(OURS, "", `#${written()}`);
  tell(before);
});

export const isIn = (id) => state.history.some((one) => one.id === id);

export function toggle(id) {
  const history = isIn(id) ? state.history.filter((one) => one.id !== id) : [...state.history, { id, away: false }];
  change({ history });
}

// The filter of the API, of what was chosen for each column.
export function where(filters = state.filters) {
  const parts = [];
  for (const [name, chosen] of Object.entries(filters)) {
    const column = `"${name.replaceAll('"', '""')}"`;
    if (Array.isArray(chosen?.in) && chosen.in.length) {
      parts.push(`${column} in (${chosen.in.map((value) => quoted(String(value))).join(", ")})`);
    }
    if (Number.isFinite(chosen?.least)) parts.push(`${column} >= ${chosen.least}`);
    if (Number.isFinite(chosen?.most)) parts.push(`${column} <= ${chosen.most}`);
    if (typeof chosen?.has === "string" && chosen.has) parts.push(`${column} contains ${quoted(chosen.has)}`);
  }
  return parts.join(" and ");
}

const quoted = (text) => `'${text.replaceAll("'", "''")}'`;
