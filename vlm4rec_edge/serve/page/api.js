// The HTTP API, asked by paths relative to the page, so that it may be mounted anywhere.

let signIn = null;

export class ApiError extends Error {
  constructor(status, kind, message) {
    super(message);
    this.status = status;
    this.kind = kind;
  }
}

export function onSignIn(ask) {
  signIn = ask;
}

export async function ask(path, { body, signal } = {}) {
  const how = { signal, headers: {} };
  if (body !== undefined) {
    how.method = "POST";
    how.headers["Content-Type"] = "application/json";
    how.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, how);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "Unreachable", "The server does not answer. Is it still running?");
  }
  const document = await answer.json().catch(() => null);
  if (answer.ok && document !== null) return document;
  if (answer.status === 401 && signIn && path !== "v1/session") {
    await signIn();
    return ask(path, { body, signal });
  }
  if (answer.status === 429 && !signal?.aborted) {
    await new Promise((done) => setTimeout(done, 1000));
    return ask(path, { body, signal });
  }
  const error = document?.error ?? { kind: "Unknown", message: `The server answered with status ${answer.status}.` };
  throw new ApiError(answer.status, error.kind, error.message);
}

export function query(fields) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") parameters.append(name, one);
    }
  }
  return parameters.toString();
}

export const itemPath = (id) => `v1/items/${encodeURIComponent(id)}`;
export const photo = (id, pixels, number = 1) =>
  `${itemPath(id)}/photo?size=${Math.min(1280, Math.ceil(pixels * Math.min(devicePixelRatio || 1, 2)))}` +
  (number > 1 ? `&number=${number}` : "");

// What is known of items by now, so that a history has titles without asking again.
const known = new Map();

export function remember(items) {
  for (const item of items) known.set(item.id ?? item.item_id, { ...item, id: item.id ?? item.item_id });
}

export const recall = (id) => known.get(id) ?? { id, title: "", caption: "", attributes: {} };

export async function learnAbout(ids) {
  const unknown = ids.filter((id) => !known.has(id));
  for (let start = 0; start < unknown.length; start += 50) {
    remember((await ask(`v1/items?${query({ id: unknown.slice(start, start + 50) })}`)).items);
  }
}
