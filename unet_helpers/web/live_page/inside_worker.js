// Look inside: the network on a window around a pixel, with all maps and kernels; see inside.js.

// Working px: side of the window, larger than what a pixel's answer depends on.
const WINDOW = 256;

// Maps of a block that are shown: those that say most at the pixel.
const SHOWN_MAPS = 6;

// The last look: the maps of all blocks, and where the pixel is in them.
let lastLook;

// The window around (y, x), in working px, at the borders of pooling windows.
function windowAround([y, x], { h, w }, least) {
  const step = 2 ** parts.facts.depth, side = Math.ceil(least / step) * step;
  const span = (at, length) => {
    const start = Math.max(0, Math.min(Math.floor((at - side / 2) / step) * step, Math.floor((length - side) / step) * step));
    return { start, stop: Math.min(length, start + side) };
  };
  return { row: span(y, h), column: span(x, w) };
}

// What the network sees and answers around a pixel (y, x) of the image, and why.
async function look({ y, x, skips, zoom, blur, noise, invert, strokes, radius, asked, request }) {
  const { inChannels, depth: levels } = parts.facts, shown = answer, { h, w, working } = shown;
  const at = [Math.min(h - 1, Math.floor(((y + 0.5) * h) / height)), Math.min(w - 1, Math.floor(((x + 0.5) * w) / width))];
  const { row, column } = windowAround(at, shown, WINDOW), step = 2 ** levels;
  const whole = ({ start, stop }) => Math.ceil((stop - start) / step) * step;
  const view = { at, zoom, place: [at[0] - row.start, at[1] - column.start], h: whole(row), w: whole(column) };

  // Strokes are in px of the image, so that they stay on what they cover.
  const points = strokes.map(([r, c]) => [((r + 0.5) * h) / height - 0.5, ((c + 0.5) * w) / width - 0.5]);
  const mask = coverOf(view, points, radius), isCovered = mask.includes(1);
  const pixels = seenIn(view, inChannels, h, w, (channel, r, c) => working[(channel * h + r) * w + c]);
  const uncovered = filtered(pixels, view, { blur, noise, invert }), seen = isCovered ? covered(uncovered, mask) : uncovered;

  const all = await runOpen(seen, view.h, view.w, skips, noChannels(), ["read", "made"]);
  const now = foregroundOf(all.probabilities), plain = await plainAnswer(shown, view);
  // A cover is compared with the same view without it, all else with the image as it is.
  const settings = [view, skips, blur, noise, invert];
  const compared = isCovered ? await keptAnswer(shown, "uncovered", settings, () => answerTo(uncovered, view, skips)) : plain;
  const change = now.map((v, i) => Math.abs(v - compared[i])), changed = Uint8Array.from(change, (v) => +(v > VISIBLE_CHANGE));
  const { places, reasons } = await reasonsOf(all, view.place, skips);
  lastLook = { all, places };
  postMessage({
    type: "inside", asked, request, view, size: [h, w], seen: seen.slice(0, view.h * view.w), now, plain, change, changed, reasons,
    mask: isCovered ? mask : null, reach: isCovered ? reachOf(change, mask, view, [h, w]) : null,
  });
}

const noChannels = () => Array(parts.facts.blocks.length).fill(0);

const answerTo = async (pixels, { h, w }, skips) => foregroundOf((await runOpen(pixels, h, w, skips, noChannels(), [])).probabilities);

// The answer to the image as it is, as a view shows it.
async function plainAnswer(shown, view) {
  const { inChannels, depth: levels } = parts.facts, { h, w, working } = shown;
  const { row, column } = windowAround(view.at, shown, WINDOW / Math.min(1, view.zoom));
  const tile = padded(working, h, w, inChannels, row, column, 2 ** levels, false);
  const values = await keptAnswer(shown, "plain", [row, column], () => answerTo(tile.pixels, tile, Array(levels).fill(1)));
  if (view.zoom === 1) return values;
  const within = (k, start, length) => Math.min(length - 1, Math.max(0, k - start));
  const valueAt = (_, r, c) => values[within(r, row.start, tile.h) * tile.w + within(c, column.start, tile.w)];
  return seenIn(view, 1, h, w, valueAt);
}

// The last answer of a kind, which stays while somebody paints; it goes with the answer to the image.
async function keptAnswer(shown, kind, settings, compute) {
  const kept = (shown.kept ??= {}), key = JSON.stringify(settings);
  if (kept[kind]?.key !== key) kept[kind] = { key, values: await compute() };
  return kept[kind].values;
}

// For each block, the map that says most at this pixel; its kernel comes from a run on a tiny image.
async function reasonsOf(all, place, skips) {
  const { depth: levels, blocks, inChannels } = parts.facts, step = 2 ** levels;
  const places = blocks.map(({ level }) => place.map((k) => k >> (level - 1)));
  const channels = blocks.map(({ name }, n) => byValue(all[`made_${name}`], places[n])[0].channel);
  const kernels = await runOpen(new Float32Array(inChannels * step * step), step, step, skips, channels, ["kernel", "bias"]);
  return { places, reasons: blocks.map((block, n) => reasonOf(block, channels[n], places[n], all, kernels)) };
}

// The maps of a block at the pixel of the last look, those that say most there.
function features({ block }) {
  if (!lastLook) return;
  const number = parts.facts.blocks.findIndex(({ name }) => name === block), place = lastLook.places[number];
  const made = lastLook.all[`made_${block}`], { data, dims: [, count, h, w] } = made, ordered = byValue(made, place);
  const maps = ordered.slice(0, SHOWN_MAPS).map(({ channel, value }) => ({ channel, value, values: data.slice(channel * h * w, (channel + 1) * h * w) }));
  postMessage({ type: "features", block, count, active: ordered.filter(({ value }) => value > 0).length, height: h, width: w, place, maps });
}

// The channels of maps (1, C, h, w) with their values at a pixel, the largest first.
function byValue({ data, dims: [, count, h, w] }, [y, x]) {
  const values = Array.from({ length: count }, (_, channel) => ({ channel, value: data[(channel * h + y) * w + x] }));
  return values.sort((a, b) => b.value - a.value);
}

async function runOpen(pixels, h, w, skips, channels, kinds) {
  const { inChannels, depth: levels, blocks } = parts.facts;
  const feeds = { image: tensor("float32", pixels, [1, inChannels, h, w]), skips: tensor("float32", Float32Array.from(skips), [levels]), channels: numbers(...channels) };
  const names = ["probabilities", ...kinds.flatMap((kind) => blocks.map(({ name }) => `${kind}_${name}`))];
  return sessions.open.run(feeds, names);
}

function foregroundOf({ data, dims: [, , h, w] }) {
  if (parts.facts.hasBackground) return Float32Array.from({ length: h * w }, (_, i) => 1 - data[i]);
  // Of classes that overlap, the most probable one.
  const most = data.slice(0, h * w);
  for (let i = h * w; i < data.length; i++) most[i % (h * w)] = Math.max(most[i % (h * w)], data[i]);
  return most;
}

// Why a map has its value: sum over channels of the 3 × 3 surroundings times the kernel, + bias, then ReLU.
function reasonOf({ name, level }, channel, [y, x], all, kernels) {
  const { data, dims: [, count, h, w] } = all[`read_${name}`], kernel = kernels[`kernel_${name}`].data, bias = kernels[`bias_${name}`].data[0];
  const sums = [], patches = [];
  for (let c = 0; c < count; c++) {
    const patch = [];
    for (let r = y - 1; r <= y + 1; r++) for (let k = x - 1; k <= x + 1; k++) patch.push(r < 0 || k < 0 || r >= h || k >= w ? 0 : data[(c * h + r) * w + k]);
    patches.push(patch);
    sums.push(patch.reduce((sum, v, i) => sum + v * kernel[9 * c + i], 0));
  }
  const most = sums.reduce((best, v, c) => (Math.abs(v) > Math.abs(sums[best]) ? c : best), 0);
  const total = sums.reduce((a, b) => a + b, 0) + bias, made = all[`made_${name}`];
  return {
    name, level, channel, place: [y, x], input: most, patch: patches[most], kernel: Array.from(kernel.slice(9 * most, 9 * most + 9)),
    sum: sums[most], bias, total, value: made.data[(channel * made.dims[2] + y) * made.dims[3] + x],
  };
}
