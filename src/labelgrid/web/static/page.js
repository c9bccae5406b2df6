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
const over = document.querySelector(".over");
if (opacity && over) {
  const kept = Number(window.sessionStorage.getItem("opacity") ?? opacity.value);
  opacity.value = kept;
  over.style.opacity = kept / 100;
  opacity.addEventListener("input", () => {
    over.style.opacity = opacity.value / 100;
    window.sessionStorage.setItem("opacity", opacity.value);
  });
}
