// The worker: reads files, runs the network, finds objects. It is told what to do by messages with a
// `type`, and answers with messages; see HANDLERS.

// As in inference/tiles.py: working px.
const TILE = 1024, OVERLAP = 128, TILE_OVER_SIGMA = 8, LEAST_WEIGHT = 1e-6;

const parts = {};  // what the page holds: graphs and libraries
const loaded = {};  // libraries that were loaded
let ort, sessions, provider, image, answer, job = 0;

const addressOf = (script) => URL.createObjectURL(new Blob([script], { type: "text/javascript" }));

// Some libraries look for `window`, which a worker does not have.
function library(name) {
  if (loaded[name]) return;
  self.window = self;
  for (const text of parts.libraries[name]) importScripts(addressOf(text));
  delete self.window;
  loaded[name] = true;
}

// Without JSPI, by which WebAssembly waits for WebGPU, WebAssembly alone is used: it never waits.
function withoutJspi() {
  WebAssembly.Suspending = function (f) { return f; };
  WebAssembly.promising = (f) => async (...values) => f(...values);
}

async function start(message) {
  Object.assign(parts, message.parts);
  const hasJspi = "Suspending" in WebAssembly;
  if (!hasJspi) withoutJspi();
  ort = await import(addressOf(parts.runtime));
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = parts.wasm;
  ort.env.logLevel = "error";
  const onCpu = { executionProviders: ["wasm"], logSeverityLevel: 3 };
  const cpuOf = (bytes) => ort.InferenceSession.create(bytes, onCpu);
  sessions = { network: await cpuOf(parts.network), finish: await cpuOf(parts.finish), prepare: {} };
  sessions.open = sessions.network;  // the inside is always looked at by WebAssembly
  provider = "WebAssembly";
  if (hasJspi && await hasGpu()) await useGpu();
  postMessage({ type: "ready", provider });
}

async function hasGpu() {
  try {
    const adapter = navigator.gpu && await navigator.gpu.requestAdapter();
    return Boolean(adapter) && !adapter.isFallbackAdapter && !adapter.info?.isFallbackAdapter;
  } catch { return false; }
}

// The graphics card is used if it gives the same answer to noise as WebAssembly does.
async function useGpu() {
  try {
    const onGpu = await ort.InferenceSession.create(parts.network, { executionProviders: ["webgpu"], logSeverityLevel: 3 });
    const side = 64, noise = Float32Array.from({ length: parts.facts.inChannels * side * side }, (_, i) => Math.abs(Math.sin(i * 12.9898)));
    const expected = await run(sessions.network, noise, side, side), found = await run(onGpu, noise, side, side);
    const largest = found.reduce((most, v, i) => Math.max(most, Math.abs(v - expected[i])), 0);
    if (largest < 0.01) { sessions.network = onGpu; provider = "WebGPU"; }
  } catch { /* WebAssembly stays */ }
}

const tensor = (type, values, shape) => new ort.Tensor(type, values, shape);
const numbers = (...values) => tensor("int64", BigInt64Array.from(values, BigInt), [values.length]);

// The network on (C, h, w), whose sides are multiples of 2 ** depth.
async function run(session, pixels, h, w) {
  const { inChannels, depth: levels, blocks } = parts.facts;
  const feeds = {
    image: tensor("float32", pixels, [1, inChannels, h, w]),
    skips: tensor("float32", new Float32Array(levels).fill(1), [levels]),
    channels: numbers(...Array(blocks.length).fill(0)),
  };
  const { probabilities } = await session.run(feeds, ["probabilities"]);
  return probabilities.getData();
}

async function readAndShow({ buffer, name, slice }) {
  const mine = ++job;
  const read = await readFile(buffer, name, slice);
  if (mine !== job) return;
  image = { ...read, id: mine };
  const { height, width, channels, spacing, slices, notes } = image;
  const shown = shownPixels(image);
  postMessage({ type: "image", id: mine, name, height, width, channels, spacing, slices, slice: image.slice ?? slice ?? 0, notes, pixels: shown });
}

async function segment({ request, zoom }) {
  const mine = ++job, started = performance.now(), { facts: card } = parts;
  const isCancelled = () => mine !== job;
  postMessage({ type: "progress", request, text: "Preparing the image", done: 0, total: 1 });
  const feeds = {}, { pixels, type, height, width, channels } = image;
  const prepare = sessions.prepare[type] ??= await ort.InferenceSession.create(parts[`prepare_${type}`], { executionProviders: ["wasm"], logSeverityLevel: 3 });
  feeds.pixels = tensor(type === "uint8" ? type : "float32", pixels, channels === 1 ? [height, width] : [height, width, channels]);
  if (prepare.inputNames.includes("zoom")) feeds.zoom = tensor("float32", Float32Array.of(zoom), []);
  let inside;
  if (prepare.inputNames.includes("inside")) inside = feeds.inside = tensor("bool", fieldOfView(image), [height, width]);

  const prepared = await prepare.run(feeds), [, h, w] = prepared.image.dims, values = prepared.image.data;
  const total = await blended(values, h, w, isCancelled, request);
  prepared.image.dispose();
  if (!total) return;

  const back = { answer: tensor("float32", total, [card.outChannels, h, w]), size: numbers(height, width) };
  if (inside) back.inside = inside;
  const { probabilities } = await sessions.finish.run(back);
  answer = { probabilities: probabilities.data, zoom: Math.sqrt((h / height) * (w / width)), working: values, h, w };
  setAnswer(factsOf(height, width, channels), arraysOf(answer.probabilities, height * width));
  const seconds = (performance.now() - started) / 1000;
  postMessage({ type: "answer", request, facts, levels: arrays.levels, classes: arrays.classes, seconds, zoom: answer.zoom, provider });
}

// The answers to all tiles (K, h, w), with Gaussian weights as in inference/tiles.py; null if it was cancelled.
async function blended(values, h, w, isCancelled, request) {
  const { inChannels, outChannels, hasBackground, depth: levels, flips } = parts.facts, step = 2 ** levels;
  const rows = spans(h, step), columns = spans(w, step), total = new Float32Array(outChannels * h * w);
  let done = 0;
  for (const row of rows)
    for (const column of columns) {
      postMessage({ type: "progress", request, text: "The network answers", done: done++, total: rows.length * columns.length });
      await new Promise((resolve) => setTimeout(resolve));  // so that a message can cancel it
      if (isCancelled()) return null;
      const tall = row.stop - row.start, wide = column.stop - column.start;
      const cut = (mirrored) => padded(values, h, w, inChannels, row, column, step, mirrored);
      const first = cut(false), [low, high] = extent(first.pixels);
      let found = null;
      if (low < high) found = await run(sessions.network, first.pixels, first.h, first.w);
      const second = found && flips > 1 ? await run(sessions.network, cut(true).pixels, first.h, first.w) : null;
      for (let k = 0; k < outChannels; k++)
        for (let y = 0; y < tall; y++)
          for (let x = 0; x < wide; x++) {
            const at = (k * first.h + y) * first.w;
            let value = found ? found[at + x] : +(hasBackground && k === 0);
            if (second) value = (value + second[at + wide - 1 - x]) / 2;
            total[(k * h + row.start + y) * w + column.start + x] += value * row.weights[y] * column.weights[x];
          }
    }
  return total;
}

// A tile, mirrored beyond its end to multiples of `step`.
function padded(values, h, w, channels, row, column, step, mirrored) {
  const tall = row.stop - row.start, wide = column.stop - column.start;
  const ph = Math.ceil(tall / step) * step, pw = Math.ceil(wide / step) * step, pixels = new Float32Array(channels * ph * pw);
  for (let c = 0, k = 0; c < channels; c++)
    for (let y = 0; y < ph; y++) {
      const from = (c * h + row.start + mirror(y, tall)) * w + column.start;
      for (let x = 0; x < pw; x++, k++) {
        const at = mirror(x, wide);
        pixels[k] = values[from + (mirrored ? wide - 1 - at : at)];
      }
    }
  return { pixels, h: ph, w: pw };
}

// Tiles along an axis and their weights, as in inference/tiles.py.
function spans(length, step) {
  const count = length > TILE ? Math.ceil((length - OVERLAP) / (TILE - step - OVERLAP)) : 1;
  const size = Math.ceil((length + (count - 1) * OVERLAP) / count), whole = Math.ceil(size / step + 1) * step;
  const total = new Float64Array(length), places = [];
  for (let k = 0; k < count; k++) {
    const first = count > 1 ? ((length - size) * k) / (count - 1) : 0, start = Math.floor(Math.max(0, first) / step) * step;
    places.push({ start, stop: Math.min(length, start + whole) });
  }
  for (const place of places) {
    const n = place.stop - place.start;
    place.window = Float64Array.from({ length: n }, (_, i) => Math.exp(-0.5 * ((i - (n - 1) / 2) / (n / TILE_OVER_SIGMA)) ** 2) + LEAST_WEIGHT);
    place.window.forEach((v, i) => { total[place.start + i] += v; });
  }
  for (const place of places) place.weights = Float32Array.from(place.window, (v, i) => v / total[place.start + i]);
  return places;
}

function factsOf(h, w, channels) {
  const { card } = parts.facts;
  return {
    ...card, shape: [1, h, w], shown: [h, w], channels, spacing: [1, 1, 1], wide: true, frame: 1,
    own: { shape: [h, w] }, planes: false, body: false, rows: [], columns: [], name: `${image.name.replace(/\.[^.]*$/, "")}_${card.card}`,
  };
}

// The highest step of the slider that each pixel reaches (of each class, where they overlap), and its most
// likely class.
function arraysOf(probabilities, size) {
  const { hasBackground, card: { steps, layers } } = parts.facts, last = steps.length - 1;
  const limits = Float32Array.from(steps), levels = new Uint8Array(layers * size), count = probabilities.length / size;
  for (let i = 0; i < levels.length; i++) {
    const value = Math.fround(hasBackground ? 1 - probabilities[i] : probabilities[i]);
    let k = Math.max(0, Math.min(last, Math.floor(value * last)));
    while (k < last && limits[k + 1] <= value) k++;
    while (k > 0 && limits[k] > value) k--;
    levels[i] = k;
  }
  if (!hasBackground || count < 3) return { levels };
  const classes = new Uint8Array(size).fill(1);
  for (let i = 0; i < size; i++) for (let k = 2; k < count; k++) if (probabilities[k * size + i] > probabilities[classes[i] * size + i]) classes[i] = k;
  return { levels, classes };
}

function objects({ step, asked }) {
  const { masks, table } = objectsAt(step, answer.probabilities, answer.zoom);
  postMessage({ type: "objects", asked, masks, table });
}

const HANDLERS = { start, look, features, read: readAndShow, segment, objects, cancel: () => { job++; } };

onmessage = async ({ data }) => {
  try {
    await HANDLERS[data.type](data);
  } catch (error) {
    const isKnown = error instanceof FileError;
    postMessage({ type: "error", during: data.type, name: data.name, text: isKnown ? error.message : `${error.message || error}`, isKnown });
  }
};
