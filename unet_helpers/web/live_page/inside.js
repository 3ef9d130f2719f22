// Look inside, live: why a pixel gets its answer, level by level; and what happens without skips, behind
// a cover, with blur, noise or inverted. The work is done in inside_worker.js.
const inside = { asked: 0 };

function lookAt(y, x) {
  if (!live.answered) return;
  $("inside-row").value = y;
  $("inside-column").value = x;
  askInside();
}

function askInside() {
  if (!live.answered || $("inside-row").value === "") return;
  const skips = [...document.querySelectorAll(".skip")].map((box) => +box.checked), number = (id) => +$(id).value;
  $("inside-blur-value").textContent = `${number("inside-blur")} px`;
  $("inside-noise-value").textContent = number("inside-noise");
  $("inside-cover-value").textContent = `${number("inside-cover")} px`;
  live.worker.postMessage({
    type: "look", asked: ++inside.asked, skips, cover: number("inside-cover"), blur: number("inside-blur"), noise: number("inside-noise"), invert: $("inside-invert").checked,
    y: Math.min(height - 1, Math.max(0, number("inside-row"))), x: Math.min(width - 1, Math.max(0, number("inside-column"))),
  });
}

// A map of values, on a canvas; a cross marks the pixel.
function drawMap(id, values, { height: h, width: w, place: [y, x] }, low, high) {
  const canvas = $(id), context = canvas.getContext("2d"), picture = new ImageData(w, h);
  [canvas.width, canvas.height] = [w, h];
  for (let i = 0; i < w * h; i++) picture.data.set([...Array(3).fill((255 * (values[i] - low)) / (high - low)), 255], 4 * i);
  context.putImageData(picture, 0, 0);
  context.strokeStyle = "#E69F00";
  context.strokeRect(x - 4, y - 4, 9, 9);
}

ON_MESSAGE.inside = (found) => {
  if (found.asked !== inside.asked) return;
  const { now, before, place: [y, x], width: w, reasons } = found, change = now.map((v, i) => Math.abs(v - before[i]));
  drawMap("inside-seen", found.seen, found, 0, 1);
  drawMap("inside-answer", now, found, 0, 1);
  drawMap("inside-change", change, found, 0, 1);
  let farthest = 0;
  change.forEach((v, i) => { if (v > 0.01) farthest = Math.max(farthest, Math.hypot(Math.floor(i / w) - y, (i % w) - x)); });
  const at = y * w + x;
  $("inside-words").textContent = `Probability at the pixel: ${now[at].toFixed(3)} (without changes ${before[at].toFixed(3)}). ${farthest ? `The answer changes by more than 0.01 up to ${Math.round(farthest)} working px away.` : "The answer changes nowhere by more than 0.01."}`;
  $("inside-reasons").tBodies[0].replaceChildren(...reasons.map(rowOf));
  document.body.dataset.inside = found.asked;
};

const grid = (values) => [0, 3, 6].map((k) => values.slice(k, k + 3).map((v) => v.toFixed(2)).join("  ")).join("\n");

function rowOf({ name, level, channel, input, patch, kernel, sum, bias, total, value }) {
  const row = document.createElement("tr"), products = patch.map((v, i) => v * kernel[i]);
  const cells = [`${name} (level ${level}), map ${channel}`, `map ${input}\n${grid(patch)}`, grid(kernel), grid(products), sum.toFixed(2), `${total.toFixed(2)} (bias ${bias.toFixed(2)})`, value.toFixed(2)];
  row.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
  return row;
}

picked = (r, c) => lookAt(r, c);
for (const control of document.querySelectorAll("#inside input")) control.addEventListener("change", askInside);
document.addEventListener("answered", () => { delete document.body.dataset.inside; askInside(); });
