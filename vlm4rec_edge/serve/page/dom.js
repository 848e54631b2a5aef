// Elements, made without markup: what comes from a catalog is text, whatever it says.

const PATHS = {
  add: "M8 3v10M3 8h10",
  there: "M3.5 8.5l3 3 6-7",
  more: "M8 7.2v4M8 4.6v.1",
  earlier: "M9.5 3.5L5 8l4.5 4.5",
  later: "M6.5 3.5L11 8l-4.5 4.5",
  dislike: "M6.7 10v2.5a1.9 1.9 0 0 0 1.9 1.9l2.7-6V1.6H3.9a1.3 1.3 0 0 0-1.3 1.1l-.9 5.8A1.3 1.3 0 0 0 3 10zM11.3 1.6h1.6a1.5 1.5 0 0 1 1.5 1.3v4.2a1.5 1.5 0 0 1-1.5 1.3h-1.6",
  remove: "M4 4l8 8M12 4l-8 8",
};

// Of the frames, as page.css has it, and how much of a photo they may cut off.
export const RATIO = 3 / 4;
const NEARLY = 1.15;

export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name.includes("-") || name === "role" || name === "for") {
      if (value !== undefined && value !== null) made.setAttribute(name, value);
    } else if (value !== undefined) made[name] = value;
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const made = document.createElementNS(space, "svg");
  made.setAttribute("viewBox", "0 0 16 16");
  made.setAttribute("class", "icon");
  made.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  made.append(path);
  return made;
}

// A photo in a frame of fixed proportions, so that nothing moves when it comes; it says nothing that the words beside it do not.
export function framed(address, ...badges) {
  const frame = el("span", { className: "frame" }, ...badges);
  const image = el("img", { alt: "", decoding: "async", draggable: false });
  image.addEventListener("load", () => {
    // A photo of nearly these proportions fills the frame; any other is shown whole.
    const share = image.naturalWidth / image.naturalHeight / RATIO;
    image.classList.toggle("fills", Math.max(share, 1 / share) < NEARLY);
    image.classList.add("there");
  });
  image.addEventListener("error", () => {
    image.remove();
    frame.classList.add("none");
  });
  image.src = address;
  frame.prepend(image);
  return frame;
}

export function fault(error, again) {
  return el(
    "div",
    { className: "fault", role: "alert" },
    el("p", {}, el("b", { textContent: "That did not work. " }), error.message),
    again ? el("button", { type: "button", className: "button", textContent: "Try again", onclick: again }) : null,
  );
}

export function say(text) {
  document.getElementById("said").textContent = text;
}

// Keep the focus where it was when a part of the page is drawn anew: elements with the same data-key are the same.
export function redraw(place, ...children) {
  const key = place.contains(document.activeElement) ? document.activeElement.closest("[data-key]")?.dataset.key : undefined;
  const scrolled = [...place.querySelectorAll("[data-scrolls]")].map((each) => [each.dataset.scrolls, each.scrollLeft]);
  place.replaceChildren(...children.flat().filter(Boolean));
  for (const [name, left] of scrolled) {
    const same = place.querySelector(`[data-scrolls="${name}"]`);
    if (same) same.scrollLeft = left;
  }
  if (key !== undefined) {
    [...place.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key)?.focus({ preventScroll: true });
  }
}

export const title = (item) => item.title || item.id || item.item_id;
export const signed = (number) => (Math.abs(number) < 0.005 ? "" : number < 0 ? "\u2212" : "+") + Math.abs(number).toFixed(2);
export const counted = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
