// Keys and sliders of the pages; everything can also be reached by links and buttons.
"use strict";

function follow(selector) {
  const link = document.querySelector(selector);
  if (link) window.location.assign(link.href);
}

function followTask(step) {
  const links = [...document.querySelectorAll(".tasks a")];
  const here = links.findIndex((link) => link.hasAttribute("aria-current"));
  const there = links[here + step];
  if (here >= 0 && there) window.location.assign(there.href);
}

const KEYS = {
  ArrowLeft: () => follow("a[rel=prev]"),
  ArrowRight: () => follow("a[rel=next]"),
  ArrowUp: () => followTask(-1),
  ArrowDown: () => followTask(1),
  g: () => follow("a.up"),
  b: () => follow("a.brush"),
  "?": () => document.getElementById("keys")?.showModal(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea, dialog, .scroll");
  if (typing || event.ctrlKey || event.altKey || event.metaKey || !(event.key in KEYS)) return;
  if (event.key.startsWith("Arrow") && !document.querySelector(".detail")) return;
  event.preventDefault();
  KEYS[event.key]();
});

// A form that was sent says so, and is not sent twice.
document.addEventListener("submit", (event) => {
  const { target, submitter } = event;
  if (target.method !== "post" || event.defaultPrevented) return;
  if (target.dataset.sent) event.preventDefault();
  target.dataset.sent = true;
  if (submitter) submitter.textContent = `${submitter.textContent.trim()}…`;
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted && document.querySelector("[data-sent]")) window.location.reload();
});

const opacity = document.getElementById("opacity");
if (opacity) {
  const show = () => document.body.style.setProperty("--opacity", opacity.value / 100);
  opacity.value = window.sessionStorage.getItem("opacity") ?? opacity.value;
  opacity.addEventListener("input", () => {
    show();
    window.sessionStorage.setItem("opacity", opacity.value);
  });
  show();
}

const chosen = document.getElementById("chosen");
if (chosen) {
  const boxes = [...chosen.querySelectorAll("input[name=image]")];
  const all = document.getElementById("all");
  const count = document.getElementById("count");
  let last = null;
  const tell = () => {
    const number = boxes.filter((box) => box.checked).length;
    count.textContent = number ? `: ${number}` : "";
    if (number) chosen.querySelector("details").open = true;
    all.textContent = number === boxes.length ? "Choose none" : "Choose all";
  };
  all.hidden = false;
  all.addEventListener("click", () => {
    const checked = !boxes.every((box) => box.checked);
    boxes.forEach((box) => { box.checked = checked; });
    tell();
  });
  boxes.forEach((box, index) => box.addEventListener("click", (event) => {
    if (event.shiftKey && last !== null) { // all between this box and the last one
      const [from, to] = [Math.min(last, index), Math.max(last, index)];
      boxes.slice(from, to + 1).forEach((each) => { each.checked = box.checked; });
    }
    last = index;
    tell();
  }));
  tell();
}

// Times as people read them, in their own zone; the whole moment is the title.
const DAY = 86_400_000;
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const date = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric" });

/** A moment beside now: "3 minutes ago", "today 16:31", "yesterday 9:05", "9 November 2026, 16:31". */
function readable(moment, now) {
  const minutes = Math.round((now - moment) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} minute${minutes === 1 ? "" : "s"} ago`;
  const days = Math.round((new Date(now).setHours(0, 0, 0, 0) - new Date(moment).setHours(0, 0, 0, 0)) / DAY);
  const day = ["today ", "yesterday "][days] ?? `${date.format(moment)}, `;
  return day + clock.format(moment);
}

for (const time of document.querySelectorAll("time")) {
  const moment = new Date(time.dateTime);
  if (!Number.isNaN(moment.getTime())) {
    time.textContent = readable(moment, new Date());
    time.title = `${date.format(moment)}, ${clock.format(moment)}`;
  }
}

// The grid: filters act at once, and its tiles have the size that was chosen last.
const filters = document.getElementById("filters");
if (filters) {
  filters.querySelector("button").hidden = true;
  filters.addEventListener("change", () => filters.requestSubmit());
  filters.addEventListener("formdata", ({ formData }) => { // the address holds what was chosen alone
    for (const [name, value] of [...formData]) if (!value) formData.delete(name);
  });
}

const tileSize = document.getElementById("tile-size");
if (tileSize) {
  const pictures = document.querySelectorAll(".tiles img");
  const show = () => {
    document.body.style.setProperty("--tile", `${tileSize.value}px`);
    pictures.forEach((picture) => { picture.sizes = `${tileSize.value}px`; });
  };
  document.querySelectorAll(".bar-of-grid [hidden]").forEach((each) => { each.hidden = false; });
  const small = window.innerWidth < 600 ? 150 : tileSize.value;
  tileSize.value = window.localStorage.getItem("tile") ?? small;
  tileSize.addEventListener("input", show);
  tileSize.addEventListener("change", () => window.localStorage.setItem("tile", tileSize.value));
  show();
}
