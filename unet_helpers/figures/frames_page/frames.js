"use strict";
const facts = JSON.parse(document.getElementById("facts").textContent);
const element = name => document.getElementById(name);
const parts = [...document.querySelectorAll("[data-part]")];
const drawing = document.querySelector(".drawing");

// Milliseconds that a frame stays while playing: enough to read its text.
const PAUSE = 3500;
let current = 0;
let timer = null;

// A drawing that is much wider than high gets the whole width, above the picture.
const box = drawing.querySelector("svg").viewBox.baseVal;
document.body.classList.toggle("wide", box.width > 1.7 * box.height);

// The first frame that comes to each part.
const firstFrame = new Map();
facts.frames.forEach((frame, number) => {
  for (const name of frame.parts) {
    if (!firstFrame.has(name)) firstFrame.set(name, number);
  }
});

function show(number) {
  current = Math.max(0, Math.min(facts.frames.length - 1, number));
  const frame = facts.frames[current];
  element("frame").value = current + 1;
  element("frame").setAttribute("aria-valuetext", frame.title);
  element("number").textContent = current + 1;
  element("title").textContent = frame.title;
  element("text").textContent = frame.text;
  element("picture").src = facts.pictures[frame.picture];
  element("picture").alt = frame.description;
  element("back").disabled = current === 0;
  element("next").disabled = current === facts.frames.length - 1;

  for (const part of parts) {
    const name = part.dataset.part;
    part.classList.toggle("here", frame.parts.includes(name));
    part.classList.toggle("visited", firstFrame.get(name) <= current);
  }
  bringIntoView(parts.find(part => part.classList.contains("here")));
}

// Only the drawing is scrolled, never the page around it.
function bringIntoView(part) {
  if (!part || drawing.scrollWidth <= drawing.clientWidth) return;
  const place = part.getBoundingClientRect();
  const window_ = drawing.getBoundingClientRect();
  const middle = place.left + place.width / 2 - window_.left + drawing.scrollLeft;
  drawing.scrollLeft = middle - drawing.clientWidth / 2;
}

function pause() {
  clearInterval(timer);
  timer = null;
  element("play").textContent = "Play";
  element("said").setAttribute("aria-live", "polite");
}

function play() {
  const isAtTheEnd = current === facts.frames.length - 1;
  show(isAtTheEnd ? 0 : current + 1);
  element("play").textContent = "Pause";
  // A screen reader would still speak about a frame when the next one comes.
  element("said").setAttribute("aria-live", "off");
  timer = setInterval(() => {
    show(current + 1);
    if (current === facts.frames.length - 1) pause();
  }, PAUSE);
}

function go(number) {
  pause();
  show(number);
}

element("play").addEventListener("click", () => (timer === null ? play() : pause()));
element("back").addEventListener("click", () => go(current - 1));
element("next").addEventListener("click", () => go(current + 1));
element("frame").addEventListener("input", event => go(event.target.value - 1));

// The slider has the arrows by itself, and a button the space bar.
document.addEventListener("keydown", event => {
  const isSlider = event.target === element("frame");
  const isButton = event.target.closest("button, summary") !== null;
  if (event.key === "ArrowRight" && !isSlider) go(current + 1);
  else if (event.key === "ArrowLeft" && !isSlider) go(current - 1);
  else if (event.key === " " && !isButton) element("play").click();
  else return;
  event.preventDefault();
});
show(0);
