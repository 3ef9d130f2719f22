// Look inside: the drawing of the U. A click on a block shows its maps at the pixel; one on a skip
// connection switches it. Each has a button over it, which the keyboard reaches, too.
const SVG = "http://www.w3.org/2000/svg";

// px of the drawing: least height of a button, and what it is larger than its part.
const LEAST_HEIGHT = 22, MARGIN = 3;

const partsOf = (name) => [...document.querySelectorAll(`#inside-drawing [data-part="${name}"]`)];

// 'Encoder 2', 'Bottleneck'.
const titleOf = (block) => block[0].toUpperCase() + block.slice(1).replace(/(\d+)$/, " $1");

// Places are known once the drawing is on the screen.
function prepareDrawing() {
  if (document.querySelector("#inside-drawing [role=button]")) return;
  for (const { name, level } of live.page.blocks) {
    const block = addButton("button", `${titleOf(name)}, level ${level}: show its features`, [name, `${name}-input`], () => chooseBlock(name));
    block.dataset.block = name;
    if (!name.startsWith("encoder")) continue;
    const skip = addButton("switch", `Skip connection of level ${level}`, [`skip${level}`], () => switchSkip(level, skip));
    skip.dataset.skip = level;
    skip.setAttribute("aria-checked", true);
  }
  markBlock();
}

function addButton(role, label, names, act) {
  const boxes = names.flatMap(partsOf).map((part) => part.getBBox());
  const left = Math.min(...boxes.map((box) => box.x)) - MARGIN, right = Math.max(...boxes.map((box) => box.x + box.width)) + MARGIN;
  const top = Math.min(...boxes.map((box) => box.y)) - MARGIN, bottom = Math.max(...boxes.map((box) => box.y + box.height)) + MARGIN;
  const more = Math.max(0, LEAST_HEIGHT - (bottom - top)) / 2, button = document.createElementNS(SVG, "rect");
  const attributes = { x: left, y: top - more, width: right - left, height: bottom - top + 2 * more, rx: 3, role, tabindex: 0, "aria-label": label, class: "part-button" };
  for (const [name, value] of Object.entries(attributes)) button.setAttribute(name, value);
  button.addEventListener("click", act);
  button.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act();
  });
  document.querySelector("#inside-drawing svg").append(button);
  return button;
}

function switchSkip(level, button) {
  const isOn = 1 - inside.skips[level - 1];
  inside.skips[level - 1] = isOn;
  button.setAttribute("aria-checked", Boolean(isOn));
  for (const part of partsOf(`skip${level}`)) part.classList.toggle("off", !isOn);
  askInside();
}

function chooseBlock(name) {
  inside.block = name;
  markBlock();
  askFeatures();
}

function markBlock() {
  for (const button of document.querySelectorAll("#inside-drawing [data-block]")) button.setAttribute("aria-pressed", button.dataset.block === inside.block);
}

function askFeatures() {
  for (const row of $("inside-reasons").tBodies[0].rows) row.classList.toggle("chosen", row.dataset.block === inside.block);
  if (inside.found) live.worker.postMessage({ type: "features", block: inside.block });
  else $("inside-level").textContent = "Click on a pixel of the image first.";
}

ON_MESSAGE.features = ({ block, count, active, height: h, width: w, place, maps }) => {
  if (block !== inside.block) return;
  const { level } = live.page.blocks.find(({ name }) => name === block);
  $("inside-level").textContent = `${titleOf(block)}, level ${level}: ${count} maps of ${h} × ${w} px, of which ${active} are above 0 at the pixel. These say most there:`;
  $("inside-features").replaceChildren(...maps.map(({ channel, value, values }) => {
    const figure = document.createElement("figure"), canvas = document.createElement("canvas"), caption = document.createElement("figcaption");
    const words = `Map ${channel}: ${value.toFixed(2)} at the pixel`;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", words);
    caption.textContent = words;
    figure.append(canvas, caption);
    const [low, high] = values.reduce(([least, most], v) => [Math.min(least, v), Math.max(most, v)], [Infinity, -Infinity]);
    drawMap(canvas, values, { h, w, place }, low, high);
    return figure;
  }));
  document.body.dataset.features = block;
};
