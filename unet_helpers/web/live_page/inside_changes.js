// Look inside: what the network sees in place of the image (zoom, blur, noise, inversion, a cover), and
// how far a cover reaches. A view is a window that is seen with a zoom around a pixel:
// { at: the pixel in the working image, place: the same pixel in the window, zoom, h, w }.

// A change of a probability below this is not shown.
const VISIBLE_CHANGE = 0.01;

// Where a pixel of the window lies in the working image, in px of that image along one axis.
const sourceOf = ({ at, place, zoom }, axis, pixel) => at[axis] + (pixel - place[axis]) / zoom;

// Maps (C, h, w) of the working image as a view shows them; beyond the image they are mirrored. `valueAt`
// gives the value of a channel at whole px. If the view shrinks, values are averaged.
function seenIn(view, channels, height, width, valueAt) {
  const { zoom, h, w } = view, out = new Float32Array(channels * h * w);
  const count = Math.ceil(1 / zoom), offsets = Array.from({ length: count }, (_, k) => ((k + 0.5) / count - 0.5) / zoom);
  const rows = Array.from({ length: h }, (_, r) => offsets.map((by) => neighbours(sourceOf(view, 0, r) + by, height)));
  const columns = Array.from({ length: w }, (_, c) => offsets.map((by) => neighbours(sourceOf(view, 1, c) + by, width)));
  for (let channel = 0, k = 0; channel < channels; channel++)
    for (let r = 0; r < h; r++)
      for (let c = 0; c < w; c++, k++) {
        let sum = 0;
        for (const row of rows[r]) for (const column of columns[c]) sum += interpolated(valueAt, channel, row, column);
        out[k] = sum / count ** 2;
      }
  return out;
}

// The two whole px around a place, and the weight of the second.
function neighbours(place, length) {
  const first = Math.floor(place);
  return { first: mirror(first, length), second: mirror(first + 1, length), weight: place - first };
}

function interpolated(valueAt, channel, row, column) {
  const along = (y) => {
    const value = valueAt(channel, y, column.first);
    return column.weight ? value + column.weight * (valueAt(channel, y, column.second) - value) : value;
  };
  const value = along(row.first);
  return row.weight ? value + row.weight * (along(row.second) - value) : value;
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

// The pixels of a view that are painted over, as 1: discs around points of the working image.
function coverOf(view, points, radius) {
  const { at, place, zoom, h, w } = view, mask = new Uint8Array(h * w), reach = radius * zoom;
  for (const [y, x] of points) {
    const row = place[0] + (y - at[0]) * zoom, column = place[1] + (x - at[1]) * zoom;
    for (let r = Math.max(0, Math.ceil(row - reach)); r <= Math.min(h - 1, row + reach); r++)
      for (let c = Math.max(0, Math.ceil(column - reach)); c <= Math.min(w - 1, column + reach); c++)
        if (Math.hypot(r - row, c - column) <= reach) mask[r * w + c] = 1;
  }
  return mask;
}

// The window with its covered pixels at the mean of each channel.
function covered(pixels, mask) {
  const out = pixels.slice(), size = mask.length;
  for (let start = 0; start < pixels.length; start += size) {
    const mean = pixels.subarray(start, start + size).reduce((a, b) => a + b, 0) / size;
    for (let i = 0; i < size; i++) if (mask[i]) out[start + i] = mean;
  }
  return out;
}

// How far from covered pixels an answer changes: visibly, and at all, which is the reach of the receptive
// field; and whether it changes at a border of the window beyond which the image goes on.
function reachOf(change, mask, view, [height, width]) {
  const { h, w } = view, distances = distancesTo(mask, h, w);
  const isCutAt = (axis, pixel, last, length) => (pixel === 0 && sourceOf(view, axis, 0) > 0) || (pixel === last && sourceOf(view, axis, last) < length - 1);
  const reach = { visible: 0, whole: 0, isCut: false };
  for (let i = 0; i < h * w; i++) {
    if (change[i] === 0) continue;
    const y = Math.floor(i / w), x = i % w;
    reach.whole = Math.max(reach.whole, distances[i]);
    if (change[i] > VISIBLE_CHANGE) reach.visible = Math.max(reach.visible, distances[i]);
    if (isCutAt(0, y, h - 1, height) || isCutAt(1, x, w - 1, width)) reach.isCut = true;
  }
  return reach;
}

// The distance of each pixel to the nearest of a mask, along rows or columns, whichever is larger: a
// receptive field is a square. One pass from the first pixel to the last, and one back.
function distancesTo(mask, h, w) {
  const distances = Float32Array.from(mask, (on) => (on ? 0 : Infinity));
  const improve = (i, y, x, side) => {
    for (const [dy, dx] of [[side, -1], [side, 0], [side, 1], [0, side]]) {
      const [r, c] = [y + dy, x + dx];
      if (r >= 0 && c >= 0 && r < h && c < w) distances[i] = Math.min(distances[i], distances[r * w + c] + 1);
    }
  };
  for (let i = 0; i < h * w; i++) improve(i, Math.floor(i / w), i % w, -1);
  for (let i = h * w - 1; i >= 0; i--) improve(i, Math.floor(i / w), i % w, 1);
  return distances;
}
