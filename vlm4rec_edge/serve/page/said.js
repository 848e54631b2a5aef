// A caption, with the words underlined that captions of the history say too.

import { el } from "./dom.js";
import { description } from "./tile.js";

// A word as the server counts it: letters, with hyphens or apostrophes inside.
const WORD = /\p{L}+(?:[-']\p{L}+)*/gu;

export function said(hit) {
  if (!hit.caption) return el("p", { className: "said", textContent: description(hit) });
  const shared = new Set(hit.shared ?? []);
  const pieces = [];
  let end = 0;
  for (const match of hit.caption.matchAll(WORD)) {
    if (!shared.has(match[0].toLowerCase())) continue;
    pieces.push(hit.caption.slice(end, match.index), el("u", { textContent: match[0] }));
    end = match.index + match[0].length;
  }
  return el("p", { className: "said" }, pieces, hit.caption.slice(end));
}
