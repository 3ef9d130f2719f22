"use strict";

// What is shown: its facts (shape, thresholds, classes) and arrays, set by showAnswer.
let facts, depth, height, width, slice, total;
let arrays = {};

function setAnswer(newFacts, newArrays) {
  facts = { layers: 1, ...newFacts };
  arrays = newArrays;
  [depth, height, width] = facts.shape;
  slice = height * width;
  total = depth * slice;
  arrays.foreground = layerOf(arrays.levels, 0).slice();
  for (let i = total; i < arrays.levels.length; i++) if (arrays.levels[i] > arrays.foreground[i % total]) arrays.foreground[i % total] = arrays.levels[i];
}

// a layer of an array: one of all classes, or one of each class where they overlap
const layerOf = (values, layer) => values.subarray(layer * total, (layer + 1) * total);
const eachLayer = (make) => Array.from({ length: facts.layers }, (_, layer) => make(layer));

// the labels of a layer at a step of the slider, as Segmentation.labels and Segmentation.mask make them
function maskAt(step, layer) {
  const levels = layerOf(arrays.levels, layer), { classes } = arrays, mask = new Uint8Array(total);
  for (let i = 0; i < total; i++) if (levels[i] >= step) mask[i] = classes ? classes[i] : layer + 1;
  if (facts.share > 0) {
    const part = facts.frame * slice;
    for (let start = 0; start < total; start += part) dropSmall(mask.subarray(start, start + part));
  }
  return mask;
}

// all layers as one, each drawn over those before it
function drawnInOrder(masks) {
  if (masks.length === 1) return masks[0];
  const drawn = new Uint8Array(total);
  for (const mask of masks) for (let i = 0; i < total; i++) if (mask[i]) drawn[i] = mask[i];
  return drawn;
}

function dropSmall(mask) {
  const { ids, sizes } = components(mask, false);
  if (sizes.length < 3) return;
  const largest = sizes.reduce((a, b) => Math.max(a, b), 0), only = sizes.indexOf(largest);
  for (let i = 0; i < mask.length; i++) {
    const id = ids[i];
    if (id && (facts.share < 1 ? sizes[id] < facts.share * largest : id !== only)) mask[i] = 0;
  }
}

// connected components with all neighbours of a pixel or voxel; of each class on its own where byClass
function components(mask, byClass) {
  const ids = new Int32Array(mask.length), sizes = [0], stack = [], layers = mask.length / slice;
  for (let seed = 0; seed < mask.length; seed++) {
    if (!mask[seed] || ids[seed]) continue;
    const id = sizes.length;
    let size = 0;
    ids[seed] = id;
    stack.push(seed);
    while (stack.length) {
      const i = stack.pop(), z = Math.floor(i / slice), y = Math.floor((i % slice) / width), x = i % width;
      size++;
      for (let c = Math.max(0, z - 1); c <= Math.min(layers - 1, z + 1); c++)
        for (let b = Math.max(0, y - 1); b <= Math.min(height - 1, y + 1); b++)
          for (let a = Math.max(0, x - 1); a <= Math.min(width - 1, x + 1); a++) {
            const j = c * slice + b * width + a;
            if (mask[j] && !ids[j] && (!byClass || mask[j] === mask[i])) { ids[j] = id; stack.push(j); }
          }
    }
    sizes.push(size);
  }
  return { ids, sizes };
}

// the neighbours of a pixel within its slice
function around(i, visit) {
  const y = Math.floor((i % slice) / width), x = i % width;
  for (let b = Math.max(0, y - 1); b <= Math.min(height - 1, y + 1); b++)
    for (let a = Math.max(0, x - 1); a <= Math.min(width - 1, x + 1); a++) visit(i + (b - y) * width + a - x);
}

// nuclei in a slice: interiors, grown into the borders around them; what has no interior is one nucleus
function nuclei(mask) {
  const interiors = mask.map((label) => (label === 1 ? 1 : 0));
  const { ids, sizes } = components(interiors, false), queue = [];
  let count = sizes.length - 1;
  const grow = () => {
    for (let next = 0; next < queue.length; next++)
      around(queue[next], (j) => { if (mask[j] && !ids[j]) { ids[j] = ids[queue[next]]; queue.push(j); } });
  };
  for (let i = 0; i < ids.length; i++) if (ids[i]) queue.push(i);
  grow();
  for (let i = 0; i < ids.length; i++) {
    if (!mask[i] || ids[i]) continue;
    ids[i] = ++count;
    queue.splice(0, queue.length, i);
    grow();
  }
  return { ids, count };
}

// cells in a slice: what membranes enclose
function cells(mask) {
  const { ids, sizes } = components(mask.map((label) => (label ? 0 : 1)), false);
  return { ids, count: sizes.length - 1 };
}

// the objects in a part of the mask; no network and no watershed runs here
function objectsIn(part) {
  if (facts.columns?.length && facts.method === "interiors") return nuclei(part);
  if (facts.columns?.length && facts.method === "membranes") return cells(part);
  const { ids, sizes } = components(part, true);
  return { ids, count: sizes.length - 1 };
}

// the table at another threshold than the result's own; ids of a layer go on after those of the one before
function tableAt(masks) {
  let count = 0;
  const ids = masks.map((mask) => {
    const layer = new Int32Array(mask.length), part = (facts.flat ? 1 : facts.frame) * slice;
    for (let start = 0; start < mask.length; start += part) {
      const found = objectsIn(mask.subarray(start, start + part));
      for (let i = 0; i < found.ids.length; i++) if (found.ids[i]) layer[start + i] = found.ids[i] + count;
      count += found.count;
    }
    return layer;
  });
  return tableOf(ids, masks, count);
}

// size and centroid of the objects 1 to count of all layers, in the columns of the result's table where there is one
function tableOf(ids, masks, count) {
  const sums = Array.from({ length: count }, (_, k) => ({ id: k + 1, label: 0, size: 0, at: [0, 0, 0], edge: false }));
  ids.forEach((layer, m) => addUp(sums, layer, masks[m]));
  for (const sum of sums) sum.at = sum.at.map((total) => total / sum.size);
  const columns = facts.columns?.length ? facts.columns : ["object", "class", "size_px", "centroid_slice", "centroid_y_px", "centroid_x_px"];
  const rows = sums.map((sum) => { const values = measured(sum); return columns.map((name) => values[name] ?? null); });
  return { ids, rows, columns };
}

// add the pixels of a layer to the sums of their objects
function addUp(sums, ids, mask) {
  for (let i = 0; i < ids.length; i++) {
    if (!ids[i]) continue;
    const sum = sums[ids[i] - 1], z = Math.floor(i / slice), y = Math.floor((i % slice) / width), x = i % width, first = z % facts.frame;
    sum.label = sum.label || mask[i];
    sum.size++;
    sum.at[0] += z; sum.at[1] += y; sum.at[2] += x;
    const ends = y === 0 || x === 0 || y === height - 1 || x === width - 1;
    if (ends || (facts.flat === false && (first === 0 || first === facts.frame - 1))) sum.edge = true;
  }
}

// what the page measures of an object, by the names of columns
function measured({ id, label, size, at, edge }) {
  const round = (v) => +v.toFixed(4), flat = facts.flat !== false, z = at[0];
  const diameter = flat ? Math.sqrt((4 / Math.PI) * size) : Math.cbrt((6 / Math.PI) * size);
  const values = {
    object: id, class: facts.classes[Math.max(0, label - 1)], size_px: size, area_px: size, volume_px: size,
    diameter_px: round(diameter), frame: Math.floor(z / facts.frame), slice: flat ? z % facts.frame : null,
    touches_edge: edge ? "yes" : "no", centroid_slice: round(z), centroid_y_px: round(at[1]), centroid_x_px: round(at[2]),
  };
  if (!flat && facts.axes) ownPosition(at).forEach((v, axis) => { values[`centroid_${facts.axes[axis]}_px`] = round(v); });
  for (const [name, { of, factor }] of Object.entries(facts.factors || {})) values[name] = +(values[of] * factor).toPrecision(6);
  return values;
}

// a displayed position along the last three axes of the image's own order
function ownPosition([z, y, x]) {
  const { shape, start, steps } = facts.own;
  const unravel = (index) => shape.map((_, axis) => Math.floor(index / shape.slice(axis + 1).reduce((a, b) => a * b, 1)) % shape[axis]);
  const origin = unravel(start), shown = [z % facts.frame, y, x];
  const along = steps.map((step) => unravel(start + step).map((v, axis) => v - origin[axis]));
  return origin.map((v, axis) => v + shown.reduce((sum, s, k) => sum + s * along[k][axis], 0)).slice(-3);
}
