// The field of view of a photograph of the eye: preprocessing/field_of_view.py in JavaScript, for one
// or two lit discs in the dark. Discs seen through a lens in a bright room are not searched here.

const THUMBNAIL_SIDE = 512, SMOOTHING = 1.5, CORNER_SHARE = 0.03, MAD_TO_DEVIATION = 1.4826;

// Mask (height × width) of the lit discs; all 1 where there is no dark surround.
function fieldOfView({ pixels, height, width, channels }) {
  const shrink = Math.min(1, THUMBNAIL_SIDE / Math.max(height, width));
  const h = Math.max(1, Math.round(height * shrink)), w = Math.max(1, Math.round(width * shrink));
  const light = smoothed(shrunk(pixels, height, width, channels, h, w), h, w, SMOOTHING);
  const discs = discsInTheDark(light, h, w), inside = new Uint8Array(height * width).fill(1);
  if (!discs) return inside;
  for (let y = 0; y < height; y++) {
    const r = Math.min(h - 1, Math.floor(((y + 0.5) * h) / height));
    for (let x = 0; x < width; x++) inside[y * width + x] = discs[r * w + Math.min(w - 1, Math.floor(((x + 0.5) * w) / width))];
  }
  return inside;
}

// The red channel, averaged over the area of each new pixel.
function shrunk(pixels, height, width, channels, h, w) {
  const out = new Float32Array(h * w), tall = height / h, wide = width / w;
  const columns = Array.from({ length: w }, (_, c) => overlaps(c * wide, (c + 1) * wide, width));
  for (let r = 0; r < h; r++)
    for (const [y, rowWeight] of overlaps(r * tall, (r + 1) * tall, height))
      for (let c = 0; c < w; c++) {
        let sum = 0;
        for (const [x, weight] of columns[c]) sum += weight * pixels[(y * width + x) * channels];
        out[r * w + c] += (rowWeight * sum) / (tall * wide);
      }
  return out;
}

function overlaps(start, end, limit) {
  const found = [];
  for (let k = Math.floor(start); k < Math.min(limit, Math.ceil(end)); k++) {
    const share = Math.min(end, k + 1) - Math.max(start, k);
    if (share > 1e-9) found.push([k, share]);
  }
  return found;
}

const mirror = (k, n) => { while (k < 0 || k >= n) k = n === 1 ? 0 : k < 0 ? -k : 2 * (n - 1) - k; return k; };

function smoothed(values, h, w, sigma) {
  const radius = Math.ceil(4 * sigma), kernel = [];
  for (let k = -radius; k <= radius; k++) kernel.push(Math.exp(-0.5 * (k / sigma) ** 2));
  const total = kernel.reduce((a, b) => a + b), rows = new Float32Array(h * w), out = new Float32Array(h * w);
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) for (let k = -radius; k <= radius; k++) rows[y * w + x] += (kernel[k + radius] * values[mirror(y + k, h) * w + x]) / total;
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) for (let k = -radius; k <= radius; k++) out[y * w + x] += (kernel[k + radius] * rows[y * w + mirror(x + k, w)]) / total;
  return out;
}

function percentileOf(values, percent) {
  const sorted = Float32Array.from(values).sort(), at = (percent / 100) * (sorted.length - 1), low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
}

function discsInTheDark(light, h, w) {
  const side = Math.max(2, Math.round(CORNER_SHARE * Math.max(h, w))), corners = [], middle = [];
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      if ((y < side || y >= h - side) && (x < side || x >= w - side)) corners.push(light[y * w + x]);
      if (y >= h >> 2 && y < h - (h >> 2) && x >= w >> 2 && x < w - (w >> 2)) middle.push(light[y * w + x]);
    }
  const dark = percentileOf(corners, 25), median = percentileOf(corners, 50);
  const noise = MAD_TO_DEVIATION * percentileOf(corners.filter((v) => v <= median).map((v) => Math.abs(v - dark)), 50);
  const bright = percentileOf(middle, 75), contrast = bright - dark;
  if (contrast < Math.max(6 * noise, 0.3 * bright)) return null;

  const litFrom = dark + Math.max(4 * noise, 0.2 * contrast), notchTo = dark + Math.max(3 * noise, 0.08 * contrast);
  const lit = extreme(extreme(light.map((v) => +(v > litFrom)), h, w, 3, Math.min), h, w, 3, Math.max);
  const hulls = hullsOfLargest(lit, h, w);
  if (!hulls) return null;
  const discs = hulls.map((v, i) => (light[i] <= notchTo ? 0 : v));
  return extreme(withoutHoles(discs, h, w), h, w, 2, Math.min);
}

// The smallest or largest value of squares with this radius; beyond the border nothing counts.
function extreme(mask, h, w, radius, choose) {
  const rows = new Float32Array(h * w), out = new Float32Array(h * w);
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      let best = mask[y * w + x];
      for (let k = Math.max(0, x - radius); k <= Math.min(w - 1, x + radius); k++) best = choose(best, mask[y * w + k]);
      rows[y * w + x] = best;
    }
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      let best = rows[y * w + x];
      for (let k = Math.max(0, y - radius); k <= Math.min(h - 1, y + radius); k++) best = choose(best, rows[k * w + x]);
      out[y * w + x] = best;
    }
  return out;
}

// Regions (h × w) of a mask, numbered from 1, and their pixels.
function regionsOf(mask, h, w, diagonal = true) {
  const ids = new Int32Array(h * w), regions = [null];
  for (let seed = 0; seed < mask.length; seed++) {
    if (!mask[seed] || ids[seed]) continue;
    const members = [seed];
    ids[seed] = regions.length;
    for (let m = 0; m < members.length; m++) {
      const y = Math.floor(members[m] / w), x = members[m] % w;
      for (let b = Math.max(0, y - 1); b <= Math.min(h - 1, y + 1); b++)
        for (let a = Math.max(0, x - 1); a <= Math.min(w - 1, x + 1); a++) {
          const j = b * w + a;
          if (mask[j] && !ids[j] && (diagonal || a === x || b === y)) { ids[j] = regions.length; members.push(j); }
        }
    }
    regions.push(members);
  }
  return { ids, regions };
}

// Convex hulls of the largest region, and of those at least half as large.
function hullsOfLargest(lit, h, w) {
  const regions = regionsOf(lit, h, w).regions.slice(1), out = new Float32Array(h * w);
  if (!regions.length) return null;
  const largest = regions.reduce((n, r) => Math.max(n, r.length), 0);
  for (const region of regions.filter((r) => r.length >= largest / 2)) {
    const points = region.map((i) => [i % w, Math.floor(i / w)]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    fillConvex(out, w, hullOf(points));
  }
  return out;
}

// Andrew's monotone chain (1979): the corners of the convex hull of sorted points (x, y).
function hullOf(points) {
  const half = (list) => list.reduce((chain, p) => {
    while (chain.length > 1) {
      const [a, b] = chain.slice(-2);
      if ((b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) > 0) break;
      chain.pop();
    }
    return [...chain, p];
  }, []);
  return [...half(points).slice(0, -1), ...half([...points].reverse()).slice(0, -1)];
}

function fillConvex(out, w, corners) {
  const top = Math.min(...corners.map((p) => p[1])), bottom = Math.max(...corners.map((p) => p[1]));
  for (let y = top; y <= bottom; y++) {
    let left = Infinity, right = -Infinity;
    corners.forEach((p, k) => {
      const q = corners[(k + 1) % corners.length], [low, high] = p[1] < q[1] ? [p, q] : [q, p];
      if (y < low[1] || y > high[1]) return;
      const xs = low[1] === high[1] ? [low[0], high[0]] : [low[0] + ((y - low[1]) / (high[1] - low[1])) * (high[0] - low[0])];
      left = Math.min(left, ...xs);
      right = Math.max(right, ...xs);
    });
    for (let x = Math.round(left); x <= Math.round(right); x++) out[y * w + x] = 1;
  }
}

function withoutHoles(mask, h, w) {
  const { regions } = regionsOf(mask.map((v) => 1 - v), h, w, false), out = mask.slice();
  for (const region of regions.slice(1)) {
    const touches = region.some((i) => i < w || i >= (h - 1) * w || i % w === 0 || i % w === w - 1);
    if (!touches) for (const i of region) out[i] = 1;
  }
  return out;
}
