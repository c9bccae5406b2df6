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
