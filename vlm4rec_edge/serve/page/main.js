// The page: what stands where is in index.html, and each part of it in a file of its own.

import { loadColumns, startFilters } from "./filters.js";
import { reload, startGrid } from "./grid.js";
import { startItem, tellMakers } from "./item.js";
import { startMeaning } from "./meaning.js";
import { recommend, startRecommended } from "./recommended.js";
import { startShopper, tellAbout } from "./shopper.js";
import { startSignIn } from "./sign-in.js";
import { change, onChange, state } from "./state.js";
import { startStatus } from "./status.js";
import { chosenWay } from "./ways.js";

const query = document.getElementById("query");
let typing;
let isFirst = true;

function search() {
  clearTimeout(typing);
  typing = undefined;
  const words = query.value.trim();
  if (words !== state.search) change({ search: words });
}

query.value = state.search;
query.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(search, 250);
});
query.addEventListener("change", search); // also when the field is left before the pause
document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
onChange((now) => {
  if (typing === undefined && query.value.trim() !== now.search) query.value = now.search;
});

for (const button of document.querySelectorAll(".views button")) {
  button.addEventListener("click", () => {
    document.body.dataset.view = button.dataset.view;
    for (const other of document.querySelectorAll(".views button")) other.setAttribute("aria-pressed", other === button);
    scrollTo({ top: 0 });
  });
}
// The links past the bar go to a part, and leave the state of the page behind the # alone.
for (const link of document.querySelectorAll(".skip")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    document.querySelector(`.views [data-view="${link.hash.slice(1)}"]`)?.click();
    document.querySelector(link.hash).focus();
  });
}

startSignIn();
startItem();
startShopper();
startGrid();
startMeaning();
startRecommended();
startFilters();
startStatus((told, info) => {
  const before = chosenWay();
  tellMakers(info);
  tellAbout(told, info);
  if (!isFirst) {
    reload({});
    loadColumns();
  }
  if (!isFirst || chosenWay() !== before) recommend();
  isFirst = false;
});
