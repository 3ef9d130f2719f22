// Look inside, live: why a pixel gets its answer, and what changes it. The network runs in
// inside_worker.js; the drawing of the U is in inside_drawing.js, the brush in inside_brush.js.
const inside = { asked: 0, isBusy: false, found: null, skips: Array(live.page.depth).fill(1), block: live.page.blocks[0].name, strokes: [] };

const ORANGE = "#E69F00", BLUE = "#56B4E9";

function lookAt(y, x) {
  if (!live.answered) return;
  $("inside-row").value = y;
  $("inside-column").value = x;
  askInside();
}

const valueOf = (id) => +$(id).value;

function showSettings() {
  $("inside-zoom-value").textContent = `${valueOf("inside-zoom").toFixed(1)} ×`;
  $("inside-blur-value").textContent = `${valueOf("inside-blur")} px`;
  $("inside-noise-value").textContent = valueOf("inside-noise");
}

// One question at a time: while the network answers, only the latest settings wait.
function askInside() {
  if (!live.answered || $("inside-row").value === "") return;
  showSettings();
  inside.asked++;
  if (!inside.isBusy) sendQuestion();
}

function sendQuestion() {
  inside.isBusy = true;
  live.worker.postMessage({
    type: "look",
    asked: inside.asked,
    request: live.request,
    y: Math.min(height - 1, Math.max(0, valueOf("inside-row"))),
    x: Math.min(width - 1, Math.max(0, valueOf("inside-column"))),
    skips: inside.skips,
    zoom: valueOf("inside-zoom"),
    blur: valueOf("inside-blur"),
    noise: valueOf("inside-noise"),
    invert: $("inside-invert").checked,
    strokes: inside.strokes,
    radius: BRUSH,
  });
}

ON_MESSAGE.inside = (found) => {
  inside.isBusy = false;
  if (found.asked !== inside.asked && live.answered) sendQuestion();
  if (found.request !== live.request) return;  // there is another image meanwhile
  inside.found = found;
  showMaps(found);
  showWords(found);
  $("inside-reasons").tBodies[0].replaceChildren(...found.reasons.map(rowOf));
  askFeatures();
  document.body.dataset.inside = found.asked;
};

const tellError = ON_MESSAGE.error;
ON_MESSAGE.error = (message) => {
  if (message.during === "look") inside.isBusy = false;
  tellError(message);
};

// A map of values on a canvas, from `low` (black) to `high` (white); a square marks the pixel.
function drawMap(canvas, values, { h, w, place: [y, x] }, low, high) {
  const context = canvas.getContext("2d"), picture = new ImageData(w, h);
  [canvas.width, canvas.height] = [w, h];
  for (let i = 0; i < w * h; i++) {
    const grey = (255 * (values[i] - low)) / (high - low || 1);
    for (let k = 0; k < 3; k++) picture.data[4 * i + k] = grey;
    picture.data[4 * i + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
  const half = Math.ceil(w / 64);
  context.strokeStyle = ORANGE;
  context.strokeRect(x - half, y - half, 2 * half + 1, 2 * half + 1);
}

// The rim of the pixels that are on.
function drawRim(canvas, isOn, { h, w }, color) {
  const context = canvas.getContext("2d");
  context.fillStyle = color;
  const on = (y, x) => y >= 0 && x >= 0 && y < h && x < w && isOn(y * w + x);
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++)
      if (on(y, x) && !(on(y - 1, x) && on(y + 1, x) && on(y, x - 1) && on(y, x + 1))) context.fillRect(x, y, 1, 1);
}

function showMaps({ view, seen, now, change, changed, mask }) {
  drawMap($("inside-seen"), seen, view, 0, 1);
  drawMap($("inside-answer"), now, view, 0, 1);
  drawMap($("inside-change"), change, view, 0, 1);
  drawRim($("inside-change"), (i) => changed[i], view, BLUE);
  if (mask) for (const id of ["inside-seen", "inside-change"]) drawRim($(id), (i) => mask[i], view, ORANGE);
  drawBrush();
}

function showWords({ view, size, now, plain, changed, mask, reach }) {
  const { h, w, place: [y, x], zoom } = view, at = y * w + x, shrink = (size[0] / height) * zoom;
  const px = (n) => `${n} px${Math.abs(shrink - 1) < 0.01 ? "" : ` (${Math.round(n / shrink)} px of the image)`}`;
  const sentences = [
    `The network sees a window of ${h} × ${w} px.`,
    `Probability at the pixel: ${now[at].toFixed(3)} (without changes ${plain[at].toFixed(3)}).`,
  ];
  const off = inside.skips.flatMap((isOn, k) => (isOn ? [] : [k + 1]));
  if (off.length) sentences.push(`Skip connections that are off: ${off.join(", ")}.`);
  if (!mask) {
    const count = changed.reduce((sum, on) => sum + on, 0);
    const share = ((100 * count) / changed.length).toFixed(1);
    sentences.push(count ? `The answer changes by more than 0.01 in ${share} % of the window.` : "The answer changes nowhere by more than 0.01.");
  } else {
    sentences.push(reach.visible
      ? `The cover changes the answer by more than 0.01 up to ${px(reach.visible)} away from it.`
      : "Away from the cover, the answer changes nowhere by more than 0.01.");
    sentences.push(`The answer changes at all up to ${px(reach.whole)} away: so far the receptive field reaches here.`);
    if (reach.isCut) sentences.push("It may reach further: the window ends there.");
  }
  $("inside-words").textContent = sentences.join(" ");
  $("inside-change-words").textContent = mask
    ? "Change by the cover (orange); what changes by more than 0.01 is framed in blue"
    : "Change of the answer; what changes by more than 0.01 is framed in blue";
}

const grid = (values) => [0, 3, 6].map((k) => values.slice(k, k + 3).map((v) => v.toFixed(2)).join("  ")).join("\n");

function rowOf({ name, level, channel, input, patch, kernel, sum, bias, total, value }) {
  const row = document.createElement("tr"), products = patch.map((v, i) => v * kernel[i]);
  const cells = [`${name} (level ${level}), map ${channel}`, `map ${input}\n${grid(patch)}`, grid(kernel), grid(products), sum.toFixed(2), `${total.toFixed(2)} (bias ${bias.toFixed(2)})`, value.toFixed(2)];
  row.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
  row.dataset.block = name;
  return row;
}

picked = (r, c) => lookAt(r, c);
for (const control of document.querySelectorAll("#inside input")) control.addEventListener("input", askInside);
document.addEventListener("answered", () => {
  delete document.body.dataset.inside;
  inside.strokes = [];
  prepareDrawing();
  askInside();
});
showSettings();
