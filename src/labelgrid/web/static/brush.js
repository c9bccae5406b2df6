// The page with the brush: draws regions over a photograph, and saves them as the cell's label.
import { Drawing, NOTHING } from "./drawing.js";
import { watch } from "./live.js";
import { fetchArray, pixelOf } from "./pixels.js";
import { View } from "./view.js";

const page = document.getElementById("brush");
const board = page.querySelector(".board");
const canvas = page.querySelector("canvas");
const ring = page.querySelector(".ring");
const tools = document.getElementById("tools");
const told = document.getElementById("told");
const { cell } = page.dataset;
const [width, height] = [Number(page.dataset.width), Number(page.dataset.height)];
const context = canvas.getContext("2d");
const palette = [...tools.elements.region];
const colours = new Map(palette.map((radio) => [Number(radio.value), pixelOf(radio.dataset.colour)]));
const kept = `size ${cell.split(":").pop()}`; // the size of the brush, by task
let seen = page.dataset.seen;
let changed = false; // since it was saved
let hint = "nothing"; // what was on screen, as the ledger names it; "": something else
let chosen = false; // whether the user said what to start from
let known = null; // the names of the classes that the drawing knows; null: all

const hidden = new Set(); // the regions that are not shown, and so not drawn over either
const drawing = new Drawing(width, height, ([left, top, right, bottom]) => {
  const part = new ImageData(right - left, bottom - top);
  const pixels = new Uint32Array(part.data.buffer);
  let at = 0;
  for (let y = top; y < bottom; y += 1) {
    for (let x = left; x < right; x += 1) {
      const number = drawing.regions[y * width + x];
      pixels[at++] = number === NOTHING || hidden.has(number) ? 0 : colours.get(number);
    }
  }
  context.putImageData(part, left, top);
});

const view = new View(board, page.querySelector(".sheet"), [width, height], () => showSize());

// What the user chose.

const tool = () => tools.elements.tool.value;
const region = () => Number(tools.elements.region.value);
const radius = () => Number(tools.elements.size.value) / 2;

/** Hides or locks a region, or ends that. */
function toggle(button) {
  const pressed = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", pressed);
  const pressedOf = (deed) => [...tools.querySelectorAll(`.toggle[data-deed=${deed}][aria-pressed=true]`)];
  const numbers = (deed) => pressedOf(deed).map((each) => Number(each.value));
  hidden.clear();
  numbers("hide").forEach((number) => hidden.add(number));
  drawing.locked = new Set([...hidden, ...numbers("lock")]);
  if (button.dataset.deed === "hide") drawing.changed([0, 0, width, height]);
}

/** Hides or locks the region that is drawn. */
function toggleDrawn(deed) {
  const button = tools.querySelector(`.toggle[data-deed=${deed}][value="${region()}"]`);
  if (button) toggle(button);
}

function choose(radio) {
  if (radio && !radio.disabled) radio.checked = true;
}

function resize(step) {
  const size = tools.elements.size;
  size.value = Math.round(Number(size.value) * (step > 0 ? 1.25 : 0.8)) + step;
  showSize();
}

function showSize() {
  window.sessionStorage.setItem(kept, tools.elements.size.value);
  document.getElementById("size-said").textContent = `${tools.elements.size.value} px`;
  ring.style.width = `${2 * radius() * view.scale}px`;
  ring.style.height = ring.style.width;
}

// The pointer.

let stroke = null; // how the pointer goes on, while it is down

function draws(event) {
  let last = view.onSheet(event);
  const number = region();
  const go = (to) => {
    drawing.line(last, to, radius(), number);
    last = to;
  };
  go(last);
  return (next) => go(view.onSheet(next));
}

function fills(event) {
  const [x, y] = view.onSheet(event);
  if (x >= 0 && y >= 0 && x < width && y < height) drawing.fill([x, y], region());
  return () => {};
}

function pans(event) {
  let last = [event.clientX, event.clientY];
  return (next) => {
    view.pan(next.clientX - last[0], next.clientY - last[1]);
    last = [next.clientX, next.clientY];
  };
}

const TOOLS = { brush: draws, fill: fills, move: pans };

board.addEventListener("pointerdown", (event) => {
  if (stroke) return;
  board.setPointerCapture(event.pointerId);
  const begin = event.button === 0 ? TOOLS[tool()] : pans;
  if (begin !== pans) changed = true;
  stroke = begin(event);
});
board.addEventListener("pointermove", (event) => {
  const [x, y] = view.onBoard(event);
  ring.style.transform = `translate(${x}px, ${y}px) translate(-50%, -50%)`;
  ring.hidden = tool() !== "brush" || event.pointerType === "touch";
  for (const step of event.getCoalescedEvents?.() ?? []) stroke?.(step);
  stroke?.(event);
});
for (const name of ["pointerup", "pointercancel"]) {
  board.addEventListener(name, () => {
    stroke = null;
    drawing.end();
  });
}
board.addEventListener("pointerleave", () => { ring.hidden = true; });
board.addEventListener("contextmenu", (event) => event.preventDefault());
board.addEventListener("wheel", (event) => {
  event.preventDefault();
  view.zoom(2 ** (-event.deltaY / 300), view.onBoard(event));
}, { passive: false });

// The time that the user worked: pauses count for half a minute at most.

const PAUSE = 30_000;
let worked = 0;
let last = performance.now();

function work() {
  const now = performance.now();
  worked += Math.min(now - last, PAUSE);
  last = now;
}

for (const name of ["pointerdown", "pointermove", "keydown", "wheel"]) {
  document.addEventListener(name, work, { capture: true, passive: true });
}
document.addEventListener("visibilitychange", () => {
  if (document.hidden) work();
  last = performance.now();
});

// Starting, and saving.

function tell(text, ...actions) {
  told.querySelector("p").textContent = text;
  told.querySelector("div").replaceChildren(...actions.map(([name, act]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", act);
    return button;
  }));
  told.hidden = false;
}

/** Starts from the chosen layer; false if that is not wanted any more once it is read. */
async function start(wanted = () => true) {
  const { value } = tools.elements.start;
  try {
    const layer = value ? await fetchArray(value, Int16Array) : { numbers: null, known: null };
    if (!wanted()) return false;
    drawing.replace(layer.numbers);
    known = layer.known;
    const shown = tools.elements.start.selectedOptions[0].dataset.hint;
    if (shown !== "nothing") hint = shown; // who saw it once has seen it
  } catch (error) {
    if (!wanted()) return false;
    known = null;
    tell(`The drawing starts blank. ${error.message}`);
  }
  limit();
  drawing.end();
  return true;
}

/** Whether nobody drew, chose or saved anything yet. */
const untouched = () => !changed && !chosen;

/** Offers a newer prediction, and starts from it if nothing would be lost; false if "Start again" would. */
async function newer() {
  const { start: select } = tools.elements;
  const offered = select.querySelector("[data-live]") ?? live.querySelector("template").content.firstElementChild;
  if (!offered.isConnected) select.prepend(offered);
  if (chosen) return true;
  offered.selected = true;
  if (changed) return false;
  if (!(await start(untouched))) return false;
  drawing.begin();
  return true;
}

/** The classes that may be drawn: those that the drawing knows, or all; null: all. */
const drawable = () => (tools.elements.complete.checked ? null : known);

/** Offers the classes that may be drawn alone. */
function limit() {
  const names = drawable();
  document.getElementById("partial").hidden = known === null;
  for (const radio of palette) radio.disabled = names !== null && radio.value >= 0 && !names.includes(radio.dataset.name);
  if (palette.some((radio) => radio.checked && radio.disabled)) choose(palette.find((radio) => !radio.disabled));
}

function send(address, values) {
  const form = new FormData();
  for (const [name, value] of Object.entries({ cell, ...values })) form.append(name, value);
  for (const name of drawable() ?? []) form.append("known", name);
  if (drawable() === null) form.append("complete", true);
  form.append("drawing", new Blob([drawing.regions]), "drawing"); // browsers are little-endian
  return fetch(address, { method: "POST", body: form });
}

async function save(values) {
  work();
  tools.elements.save.disabled = true;
  tools.elements.save.textContent = "Saving…";
  told.hidden = true;
  document.querySelector("main > [role=status]")?.remove(); // it speaks of the label before
  try {
    const seconds = Math.max(0.1, worked / 1000).toFixed(1);
    const annotator = tools.elements.annotator.value;
    const answer = await send("/api/labels", { seconds, annotator, hint, ...values });
    const said = await answer.json();
    if (answer.ok) saved(said);
    else refused(answer.status, [said.what, said.next_step, said.unchanged].filter(Boolean).join(" "));
  } catch {
    tell("The server cannot be reached. The drawing is still here.", ["Try again", () => save(values)]);
  } finally {
    tools.elements.save.disabled = false;
    tools.elements.save.textContent = "Save";
  }
}

function saved({ event, next }) {
  changed = false;
  chosen = true;
  if (next) {
    window.location.assign(`/brush?cell=${encodeURIComponent(next)}&done=1`);
    return;
  }
  seen = event;
  worked = 0;
  tell("Saved. There is no further request of this task.");
}

function refused(status, text) {
  const keep = ["Download the drawing", download];
  if (status === 409) {
    tell(text, keep, ["Load the page again", () => window.location.reload()], ["Save mine instead", () => save({})]);
  } else {
    tell(text, keep, ["Save it nevertheless", () => save({ seen, accept: true })]);
  }
}

/** Keeps the drawing as a file, which can be handed in on the page of the image. */
async function download() {
  const answer = await send("/api/drawings", {});
  if (!answer.ok) {
    tell((await answer.json()).what);
    return;
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  const name = answer.headers.get("content-disposition").split("''")[1];
  link.download = decodeURIComponent(name);
  link.click();
  URL.revokeObjectURL(link.href);
}

const ACTIONS = {
  undo: () => { drawing.undo(); changed = true; },
  redo: () => { drawing.redo(); changed = true; },
  nearer: () => view.zoom(1.5),
  farther: () => view.zoom(1 / 1.5),
  fit: () => view.fit(),
  again: () => { start(); changed = true; },
};
for (const [name, act] of Object.entries(ACTIONS)) tools.elements[name].addEventListener("click", act);
for (const button of tools.querySelectorAll(".toggle")) button.addEventListener("click", () => toggle(button));
tools.addEventListener("submit", (event) => {
  event.preventDefault();
  save({ seen });
});
tools.elements.start.addEventListener("change", () => { chosen = true; });
tools.elements.size.addEventListener("input", showSize);
tools.elements.complete.addEventListener("change", limit);
window.addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });
window.addEventListener("resize", ACTIONS.fit);

const KEYS = {
  z: ACTIONS.undo, y: ACTIONS.redo, "[": () => resize(-1), "]": () => resize(1),
  "+": ACTIONS.nearer, "=": ACTIONS.nearer, "-": ACTIONS.farther, f: ACTIONS.fit,
  d: () => { tools.elements.tool.value = "brush"; },
  a: () => { tools.elements.tool.value = "fill"; },
  m: () => { tools.elements.tool.value = "move"; },
  h: () => toggleDrawn("hide"), l: () => toggleDrawn("lock"),
  e: () => choose(palette.at(-1)), s: () => save({ seen }),
};
const STEPS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

/** The place of the region whose key is pressed: 1 … 9, 0, and with Shift the next ten; -1: none. */
function placeOf({ key, code, shiftKey }) {
  const digit = key.length === 1 && key >= "0" && key <= "9" ? key : shiftKey && /^Digit\d$/.test(code) && code.at(-1);
  if (!digit) return -1;
  return (Number(digit) + 9) % 10 + (shiftKey ? 10 : 0);
}

document.addEventListener("keydown", (event) => {
  const { key } = event;
  const typing = event.target.closest("select, dialog, input:not([type=radio])");
  if (typing || event.altKey || ((event.ctrlKey || event.metaKey) && !"zy".includes(key))) return;
  const place = placeOf(event);
  if (place >= 0) { if (place < palette.length - 1) choose(palette[place]); } // the last one erases
  else if (key in STEPS && event.target === board) view.pan(...STEPS[key]);
  else if (key in KEYS) KEYS[key]();
  else return;
  event.preventDefault();
});

tools.elements.annotator.value = window.localStorage.getItem("annotator") ?? "";
tools.elements.annotator.addEventListener("change", ({ target }) => {
  window.localStorage.setItem("annotator", target.value);
});
tools.elements.size.value = window.sessionStorage.getItem(kept) ?? tools.elements.size.value;
view.fit();
await start();
drawing.begin();
board.classList.remove("loading");
const live = document.getElementById("live");
chosen = chosen || "labelled" in page.dataset;
if (live) watch(live, cell, newer);
