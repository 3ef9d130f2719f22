const $ = (id) => document.getElementById(id);
const state = { step: 0, chosen: 0, at: [0, 0, 0], zoom: 1, masks: [], mask: null, table: null, asked: 0 };
let colors = [], planes = [];

// Masks of all layers and the table at a step of the slider; the page of a network computes them in a worker.
let analyse = (step) => {
  const masks = eachLayer((layer) => maskAt(step, layer));
  const own = { ids: eachLayer((layer) => layerOf(arrays.objects, layer)), rows: facts.rows, columns: facts.columns };
  return { masks, table: step === facts.threshold ? own : tableAt(masks) };
};

// What another page draws over the picture of a plane.
let decorate = () => {};

// What another page does with a pixel that was clicked: its row and column as displayed.
let picked = () => {};

// left, right, top and bottom of the axial, coronal and sagittal plane: the patient's right is on the left
const SIDES = ["RLAP", "RLSI", "APSI"];

// a plane: the axes of its rows and columns (0 slice, 1 y, 2 x) and the one it is stacked along
function addPlane(name, along, rows, columns) {
  const size = [facts.shape[rows], facts.shape[columns]], count = facts.shape[along];
  const aspect = (size[0] * facts.spacing[rows]) / (size[1] * facts.spacing[columns]);
  const figure = document.createElement("figure"), canvas = document.createElement("canvas");
  const caption = document.createElement("figcaption");
  canvas.width = Math.min(1600, Math.max(800, size[1]));
  canvas.height = Math.max(1, Math.round(canvas.width * aspect));
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-describedby", "help");
  const plane = { name, along, rows, columns, size, canvas, x: 0, y: 0, flip: rows === 0 };
  caption.textContent = name;
  if (count > 1) {
    const label = document.createElement("label"), slider = document.createElement("input");
    plane.slider = Object.assign(slider, { type: "range", min: 0, max: count - 1, value: state.at[along] });
    plane.output = document.createElement("output");
    label.append("Slice ", slider, " ", plane.output);
    caption.append(" ", label);
    slider.addEventListener("input", () => go(along, +slider.value));
  }
  figure.append(canvas, caption);
  $("planes").append(figure);
  listen(plane);
  planes.push(plane);
}

function voxel(plane, row, column) {
  const p = [0, 0, 0];
  p[plane.along] = state.at[plane.along];
  p[plane.rows] = plane.flip ? plane.size[0] - 1 - row : row;
  p[plane.columns] = column;
  return p;
}

const place = (p) => p[0] * slice + p[1] * width + p[2];

// Each pixel of the canvas shows one of the image, so that a large image takes no longer than a small one.
function draw(plane) {
  const { canvas } = plane, [h, w] = plane.size, [sh, sw] = facts.shown, n = facts.channels;
  const alpha = $("opacity").value / 100, layer = $("layer").value, room = 1 - 1 / state.zoom;
  const { pixels, foreground } = arrays, { ids } = state.table, { masks } = state, { steps } = facts;
  const picture = new ImageData(canvas.width, canvas.height), out = picture.data;
  plane.x = Math.min(room, Math.max(0, plane.x));
  plane.y = Math.min(room, Math.max(0, plane.y));
  const tall = h / state.zoom / canvas.height, wide = w / state.zoom / canvas.width;
  const reach = [Math.max(1, Math.round(tall)), Math.max(1, Math.round(wide))];
  for (let cy = 0, k = 0; cy < canvas.height; cy++) {
    const r = Math.min(h - 1, Math.floor(plane.y * h + (cy + 0.5) * tall));
    for (let cx = 0; cx < canvas.width; cx++, k += 4) {
      const c = Math.min(w - 1, Math.floor(plane.x * w + (cx + 0.5) * wide));
      const p = voxel(plane, r, c), i = place(p);
      const j = ((p[0] * sh + Math.floor((p[1] * sh) / height)) * sw + Math.floor((p[2] * sw) / width)) * n;
      const blend = (ink, a) => { for (let q = 0; q < 3; q++) out[k + q] += a * (ink[q] - out[k + q]); };
      for (let q = 0; q < 3; q++) out[k + q] = pixels[n === 1 ? j : j + q];
      out[k + 3] = 255;
      const probability = steps[foreground[i]];
      if (layer === "probability") blend([253 * probability, 40 + 190 * probability, 110 - 60 * probability], alpha);
      if (layer === "confidence") blend(Array(3).fill(255 * (2 * Math.max(probability, 1 - probability) - 1)), alpha);
      for (let m = 0; m < masks.length; m++) {
        const label = masks[m][i], id = ids[m][i], chosen = state.chosen && id === state.chosen;
        if (chosen) blend([255, 255, 255], edge(plane, r, c, ids[m], reach) ? 1 : 0.55);
        else if (layer === "mask" && label) blend(colors[label - 1], alpha);
        else if (layer === "outline" && id && edge(plane, r, c, ids[m], reach)) blend(colors[Math.max(0, label - 1)], 1);
      }
    }
  }
  const context = canvas.getContext("2d");
  context.putImageData(picture, 0, 0);
  const where = facts.shape[plane.along] > 1 ? `, slice ${state.at[plane.along]} of 0 to ${facts.shape[plane.along] - 1}` : "";
  canvas.setAttribute("aria-label", `${plane.name}${where}`);
  if (facts.planes && facts.body) {
    const { width: cw, height: ch } = canvas, [left, right, top, bottom] = SIDES[plane.along];
    context.font = `bold ${Math.round(cw / 18)}px sans-serif`;
    Object.assign(context, { textAlign: "center", textBaseline: "middle", lineWidth: cw / 120, strokeStyle: "#000", fillStyle: "#fff" });
    for (const [letter, x, y] of [[left, .04, .5], [right, .96, .5], [top, .5, .05], [bottom, .5, .95]]) {
      context.strokeText(letter, x * cw, y * ch);
      context.fillText(letter, x * cw, y * ch);
    }
  }
  decorate(plane, context);
  if (plane.slider) { plane.slider.value = state.at[plane.along]; plane.output.textContent = state.at[plane.along]; }
}

// whether an object ends within the pixels that one of the canvas stands for
function edge(plane, r, c, ids, [tall, wide]) {
  const id = ids[place(voxel(plane, r, c))];
  return [[r - tall, c], [r + tall, c], [r, c - wide], [r, c + wide]].some(([a, b]) =>
    a < 0 || b < 0 || a >= plane.size[0] || b >= plane.size[1] || ids[place(voxel(plane, a, b))] !== id);
}

const drawAll = () => planes.forEach(draw);

function go(along, index) {
  state.at[along] = Math.min(facts.shape[along] - 1, Math.max(0, index));
  drawAll();
}

function zoomBy(factor) {
  state.zoom = factor ? Math.min(32, Math.max(1, state.zoom * factor)) : 1;
  drawAll();
}

// where the picture is in its canvas, whose sides may have other proportions
function shownBox(canvas) {
  const box = canvas.getBoundingClientRect(), scale = Math.min(box.width / canvas.width, box.height / canvas.height);
  const width = scale * canvas.width, height = scale * canvas.height;
  return { left: box.left + (box.width - width) / 2, top: box.top + (box.height - height) / 2, width, height };
}

function listen(plane) {
  const { canvas, along } = plane;
  let start = null;
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.ctrlKey || facts.shape[along] === 1) zoomBy(event.deltaY < 0 ? 1.25 : 0.8);
    else go(along, state.at[along] + Math.sign(event.deltaY));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => { start = [event.clientX, event.clientY, plane.x, plane.y]; });
  canvas.addEventListener("pointermove", (event) => {
    if (!start || !event.buttons) return;
    const box = shownBox(canvas);
    plane.x = start[2] - (event.clientX - start[0]) / box.width / state.zoom;
    plane.y = start[3] - (event.clientY - start[1]) / box.height / state.zoom;
    draw(plane);
  });
  canvas.addEventListener("pointerup", (event) => {
    const moved = start && Math.hypot(event.clientX - start[0], event.clientY - start[1]) > 4;
    start = null;
    if (moved) return;
    const box = shownBox(canvas), [h, w] = plane.size;
    const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
    if (x < 0 || y < 0 || x >= 1 || y >= 1) return;
    const c = Math.floor((plane.x + x / state.zoom) * w);
    const r = Math.floor((plane.y + y / state.zoom) * h);
    const i = place(voxel(plane, Math.min(h - 1, r), Math.min(w - 1, c)));
    choose(state.table.ids.reduce((found, ids) => ids[i] || found, 0), false);
    picked(Math.min(h - 1, r), Math.min(w - 1, c));
  });
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (event.key === "+" || event.key === "=") zoomBy(1.25);
    else if (event.key === "-") zoomBy(0.8);
    else if (event.key === "0") zoomBy(0);
    else if (move && (event.shiftKey || facts.shape[along] === 1)) {
      plane.x += (0.1 * move[0]) / state.zoom; plane.y += (0.1 * move[1]) / state.zoom;
      draw(plane);
    } else if (move && move[1]) go(along, state.at[along] + move[1]);
    else return;
    event.preventDefault();
  });
}

function choose(id, fromTable) {
  state.chosen = id === state.chosen ? 0 : id;
  for (const row of $("objects").tBodies[0].rows) {
    const on = +row.dataset.id === state.chosen;
    row.classList.toggle("chosen", on);
    row.querySelector("button").setAttribute("aria-pressed", on);
    if (on && !fromTable) row.scrollIntoView({ block: "nearest" });
  }
  if (fromTable && state.chosen) bringIntoView(state.chosen);
  drawAll();
}

// go to the slices of an object's middle pixel, and pan to it where the image is zoomed in
function bringIntoView(id) {
  const found = [];
  for (const ids of state.table.ids) for (let i = 0; i < ids.length; i++) if (ids[i] === id) found.push(i);
  if (!found.length) return;
  const middle = found[found.length >> 1];
  state.at = [Math.floor(middle / slice), Math.floor((middle % slice) / width), middle % width];
  for (const plane of planes) {
    const [h, w] = plane.size, row = state.at[plane.rows];
    plane.x = (state.at[plane.columns] + 0.5) / w - 0.5 / state.zoom;
    plane.y = ((plane.flip ? h - 1 - row : row) + 0.5) / h - 0.5 / state.zoom;
  }
  planes[0].canvas.scrollIntoView({ block: "nearest" });
}

// what is in the mask, in words: the same pixels as the sizes in the table
function countInWords(table, own, masked) {
  const { ids, rows, counted } = table, { method } = facts;
  const number = (n) => n.toLocaleString("en"), pixel = facts.flat === false ? "voxels" : "pixels";
  const inObjects = method === "interiors" && (own || counted || facts.columns?.length);
  const count = inObjects ? ids[0].reduce((n, id) => n + (id > 0), 0) : masked;
  const share = ((100 * count) / state.mask.length).toFixed(1);
  const amount = count * (facts.unit?.factor ?? 0), digits = amount >= 1000 ? number(Math.round(amount)) : +amount.toPrecision(3);
  const size = facts.unit ? `, ${digits} ${facts.unit.name}` : "";
  const text = `${number(count)} ${pixel} in the ${inObjects ? "objects" : "mask"} (${share} % of the image${size})`;
  if (facts.measures === "tree" || (method === "interiors" && !inObjects)) return `${text}.`;
  const what = method === "membranes" ? "cell" : "object";
  return `${text}, ${number(rows.length)} ${what}${rows.length === 1 ? "" : "s"}.`;
}

async function update() {
  const asked = ++state.asked, step = +$("threshold").value, value = +facts.steps[step].toFixed(4);
  $("threshold-value").textContent = value;
  $("threshold").setAttribute("aria-valuetext", value);
  const found = await analyse(step);
  if (asked !== state.asked) return;  // the slider has moved on

  Object.assign(state, { step, chosen: 0, masks: found.masks, mask: drawnInOrder(found.masks), table: found.table });
  let count = 0;
  for (let i = 0; i < state.mask.length; i++) if (state.mask[i]) count++;
  $("count").textContent = countInWords(state.table, step === facts.threshold, count);
  $("count").dataset.count = count;
  fillTable();
  histogram();
  drawAll();
}

function legend() {
  $("legend").replaceChildren(...facts.classes.map((name, i) => {
    const item = document.createElement("li"), swatch = Object.assign(document.createElement("canvas"), { width: 16, height: 16 });
    swatch.getContext("2d").fillStyle = facts.colors[i];
    swatch.getContext("2d").fillRect(0, 0, 16, 16);
    item.append(swatch, name);
    return item;
  }));
}

// Show an answer: all that depends on it is made anew.
async function showAnswer(newFacts, newArrays) {
  setAnswer(newFacts, newArrays);
  colors = facts.colors.map(rgb);
  planes = [];
  $("planes").replaceChildren();
  Object.assign(state, { step: facts.threshold, chosen: 0, at: [depth >> 1, height >> 1, width >> 1], zoom: 1 });
  const names = facts.body ? ["Axial", "Coronal", "Sagittal"] : ["As stored", "Across the rows", "Across the columns"];
  addPlane(facts.planes ? names[0] : "Image", 0, 1, 2);
  $("planes").classList.toggle("three", facts.planes);
  if (facts.planes) { addPlane(names[1], 1, 0, 2); addPlane(names[2], 2, 0, 1); }
  legend();
  $("table-title").textContent = facts.measures === "tree" ? "Connected pieces" : facts.method === "membranes" ? "Cells" : "Objects";
  $("threshold").max = facts.steps.length - 1;
  $("threshold").value = facts.threshold;
  await update();
  fitScreen();
}

// the page above the image takes its room, the image and what is beside it the rest of the screen
function fitScreen() {
  const above = document.querySelector(".workbench").getBoundingClientRect().top + scrollY;
  document.documentElement.style.setProperty("--above", `${Math.ceil(above)}px`);
}

function listenToControls() {
  addEventListener("resize", fitScreen);
  fitScreen();
  $("threshold").addEventListener("input", update);
  $("reset").addEventListener("click", () => { $("threshold").value = facts.threshold; update(); });
  const opacity = () => { $("opacity-value").textContent = `${$("opacity").value} %`; };
  $("opacity").addEventListener("input", () => { opacity(); drawAll(); });
  $("layer").addEventListener("change", drawAll);
  document.querySelectorAll(".zoom").forEach((b) => b.addEventListener("click", () => zoomBy(+b.dataset.by)));
  $("save-mask").addEventListener("click", async () => facts.own.shape.length === 2
    ? download(await pngOf(state.mask), `${facts.name}_mask.png`, "image/png")
    : download(npyOf(state.mask), `${facts.name}_mask.npy`, "application/octet-stream"));
  $("save-table").addEventListener("click", () => download(csvOf(state.table.columns, state.table.rows), `${facts.name}_objects.csv`, "text/csv"));
  opacity();
}
