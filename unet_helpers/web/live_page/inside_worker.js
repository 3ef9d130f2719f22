// Look inside: the network on a window around a pixel, with all maps and kernels; see inside.js.

// Working px: side of the window, larger than what a pixel's answer depends on.
const WINDOW = 256;

// The window around (y, x), in working px, at the borders of pooling windows.
function windowAround(y, x) {
  const { depth: levels } = parts.facts, step = 2 ** levels, { h, w } = answer;
  const span = (at, length) => {
    const start = Math.max(0, Math.min(Math.floor((at - WINDOW / 2) / step) * step, Math.floor((length - WINDOW) / step) * step));
    return { start, stop: Math.min(length, start + WINDOW) };
  };
  return { row: span(y, h), column: span(x, w) };
}

async function look({ y, x, skips, cover, blur, noise, invert, asked }) {
  const { depth: levels, blocks, inChannels } = parts.facts, { h, w, working } = answer;
  const at = [Math.min(h - 1, Math.floor(((y + 0.5) * h) / height)), Math.min(w - 1, Math.floor(((x + 0.5) * w) / width))];
  const { row, column } = windowAround(...at), tile = padded(working, h, w, inChannels, row, column, 2 ** levels, false);
  const place = [at[0] - row.start, at[1] - column.start], given = tile.pixels;
  const changed = covered(filtered(given, tile, { blur, noise, invert }), tile, place, cover);
  const all = await runOpen(changed, tile.h, tile.w, skips, Array(blocks.length).fill(0), ["read", "made"]);
  const plain = await runOpen(given, tile.h, tile.w, Array(levels).fill(1), Array(blocks.length).fill(0), []);

  // The channel of each block that says most at this pixel; its kernel comes from a run on a tiny image.
  const places = blocks.map(({ level }) => place.map((k) => k >> (level - 1)));
  const channels = blocks.map(({ name }, n) => strongest(all[`made_${name}`], places[n]));
  const step = 2 ** levels, tiny = new Float32Array(inChannels * step * step);
  const kernels = await runOpen(tiny, step, step, skips, channels, ["kernel", "bias"]);
  const reasons = blocks.map((block, n) => reasonOf(block, channels[n], places[n], all, kernels));
  postMessage({ type: "inside", asked, place, height: tile.h, width: tile.w, seen: changed.slice(0, tile.h * tile.w), now: foregroundOf(all.probabilities), before: foregroundOf(plain.probabilities), reasons });
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

function strongest({ data, dims: [, count, h, w] }, [y, x]) {
  let best = 0;
  for (let c = 1; c < count; c++) if (data[(c * h + y) * w + x] > data[(best * h + y) * w + x]) best = c;
  return best;
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

// The window with a blur (standard deviation in px), noise (standard deviation) and dark for bright.
function filtered(pixels, { h, w }, { blur, noise, invert }) {
  const out = new Float32Array(pixels.length), size = h * w;
  for (let c = 0; c * size < pixels.length; c++) {
    const map = pixels.subarray(c * size, (c + 1) * size);
    out.set(blur > 0 ? smoothed(map, h, w, blur) : map, c * size);
  }
  let seed = 1;
  for (let i = 0; i < out.length; i++) {
    // Park and Miller (1988): the same noise each time; the sum of 4 is nearly Gaussian.
    let sum = -2;
    if (noise > 0) for (let k = 0; k < 4; k++) { seed = (seed * 48271) % 2147483647; sum += seed / 2147483647; }
    out[i] += noise > 0 ? noise * sum * Math.sqrt(3) : 0;
    if (invert) out[i] = 1 - out[i];
  }
  return out;
}

// The window with a square around a pixel covered by the mean.
function covered(pixels, { h, w }, [y, x], side) {
  if (!side) return pixels;
  const mean = pixels.reduce((a, b) => a + b, 0) / pixels.length, half = side >> 1, out = pixels.slice();
  for (let c = 0; c < pixels.length; c += h * w)
    for (let r = Math.max(0, y - half); r < Math.min(h, y - half + side); r++) out.fill(mean, c + r * w + Math.max(0, x - half), c + r * w + Math.min(w, x - half + side));
  return out;
}
