// One class for each segment of a vessel: results/vessel_segments.py in JavaScript.

// Labels (height × width) of a mask of vessels: the class of the highest mean probability of each segment.
function classesOfSegments(probabilities, mask) {
  const size = mask.length, count = probabilities.length / size, { nearest, segments } = segmentsOf(mask);
  const sums = Array.from({ length: count }, () => new Float64Array(segments + 1)), labels = new Uint8Array(size);
  for (let i = 0; i < size; i++) if (mask[i]) for (let k = 1; k < count; k++) sums[k][nearest[i]] += probabilities[k * size + i];
  for (let i = 0; i < size; i++) {
    if (!mask[i]) continue;
    labels[i] = 1;
    for (let k = 2; k < count; k++) if (sums[k][nearest[i]] > sums[labels[i]][nearest[i]]) labels[i] = k;
  }
  return labels;
}

// The segment, from 1 on, whose centre line is nearest to each pixel of a mask.
function segmentsOf(mask) {
  const line = centreLine(mask), between = line.slice();
  let isLeft = false;
  for (let i = 0; i < line.length; i++) {
    if (!line[i]) continue;
    let count = -1;
    around(i, (j) => { count += line[j]; });
    if (count > 2) around(i, (j) => { between[j] = 0; });
  }
  for (let i = 0; i < line.length; i++) isLeft ||= between[i] > 0;
  const { ids, regions } = regionsOf(isLeft ? between : line, height, width);
  return { nearest: nearestIds(ids, mask), segments: regions.length - 1 };
}

// The line of a mask by the thinning of Zhang and Suen (1984), without the inner pixels of its steps, which
// would look like branchings (scikit-image leaves them out, too).
function centreLine(mask) {
  const wide = width + 2, line = new Uint8Array(wide * (height + 2)), ring = new Uint8Array(8);
  // Clockwise from above: 0 north, 2 east, 4 south, 6 west.
  const offsets = [-wide, 1 - wide, 1, wide + 1, wide, wide - 1, -1, -wide - 1];
  let pixels = [];
  for (let i = 0; i < mask.length; i++) if (mask[i]) pixels.push((Math.floor(i / width) + 1) * wide + (i % width) + 1);
  for (const i of pixels) line[i] = 1;

  const look = (i) => { for (let k = 0; k < 8; k++) ring[k] = line[i + offsets[k]]; };
  const isRemoved = (i, isFirst) => {
    look(i);
    let count = 0, changes = 0;
    for (let k = 0; k < 8; k++) { count += ring[k]; changes += +(!ring[k] && ring[(k + 1) % 8]); }
    if (changes !== 1 || count < 2 || count > 6) return false;
    const [north, , east, , south, , west] = ring;
    return isFirst ? !(east && south && (north || west)) : !(north && west && (east || south));
  };
  for (let isThinner = true; isThinner;) {
    isThinner = false;
    for (const isFirst of [true, false]) {
      const removed = pixels.filter((i) => isRemoved(i, isFirst));
      for (const i of removed) line[i] = 0;
      pixels = pixels.filter((i) => line[i]);
      isThinner ||= removed.length > 0;
    }
  }

  for (const i of pixels) {
    look(i);
    let parts = 0;
    for (let k = 0; k < 8; k += 2) parts += +(!ring[k] && (ring[k + 1] || ring[(k + 2) % 8]));
    const [north, , east, , south, , west] = ring;
    if (parts === 1 && (north || south) && (east || west)) line[i] = 0;
  }
  return mask.map((_, i) => line[(Math.floor(i / width) + 1) * wide + (i % width) + 1]);
}

// The nearest id to each pixel of a mask: first along columns, then from one column to the next.
function nearestIds(ids, mask) {
  const rows = new Int32Array(ids.length).fill(-1), nearest = new Int32Array(ids.length);
  for (let x = 0; x < width; x++) {
    for (let y = 0, last = -1; y < height; y++) {
      if (ids[y * width + x]) last = y;
      rows[y * width + x] = last;
    }
    for (let y = height - 1, next = -1; y >= 0; y--) {
      const i = y * width + x;
      if (ids[i]) next = y;
      if (next >= 0 && (rows[i] < 0 || next - y < y - rows[i])) rows[i] = next;
    }
  }
  for (let i = 0; i < mask.length; i++) {
    if (!mask[i]) continue;
    const y = Math.floor(i / width), x = i % width;
    let least = Infinity;
    for (let d = 0; d < width && d * d < least; d++)
      for (const column of d ? [x - d, x + d] : [x]) {
        const row = column >= 0 && column < width ? rows[y * width + column] : -1, distance = d * d + (row - y) ** 2;
        if (row >= 0 && distance < least) { least = distance; nearest[i] = ids[row * width + column]; }
      }
  }
  return nearest;
}
