// By what items are compared: what this index can, what was chosen, and both ways side by side where photos have vectors.

import { state } from "./state.js";

const NAMES = { learned: "With purchases", words: "Words alone", photos: "Photos alone", both: "Side by side" };
const SHORT = { learned: "Purchases", words: "Words", photos: "Photos", both: "Side by side" };
let known = ["words"];

export function tellWays(representations) {
  known = representations.includes("photos") ? ["both", ...representations] : representations;
  document.body.dataset.ways = isBothWays() ? "two" : "one";
}

// The first is what is shown where nothing was chosen.
export const ways = () => known;
export const chosenWay = () => (known.includes(state.by) ? state.by : known[0]);
export const isBothWays = () => chosenWay() === "both";
export const wayName = (way) => (known.length > 2 ? SHORT : NAMES)[way];
