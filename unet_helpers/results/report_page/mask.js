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

// at another threshold than the result's own: connected components, since no network and no watershed runs here
function tableAt(masks) {
  let count = 0;
  const ids = masks.map((mask) => {
    const layer = new Int32Array(mask.length), part = facts.frame * slice;
    for (let start = 0; start < mask.length; start += part) {
      const found = components(mask.subarray(start, start + part), true);
      for (let i = 0; i < found.ids.length; i++) if (found.ids[i]) layer[start + i] = found.ids[i] + count;
      count += found.sizes.length - 1;
    }
    return layer;
  });
  return tableOf(ids, masks, count);
}

// size and centroid of the objects 1 to count of all layers; the class is that of the layer's mask
function tableOf(ids, masks, count) {
  const rows = Array.from({ length: count }, (_, k) => [k + 1, "", 0, 0, 0, 0]);
  ids.forEach((layer, m) => {
    for (let i = 0; i < layer.length; i++) {
      if (!layer[i]) continue;
      const row = rows[layer[i] - 1];
      row[1] = row[1] || facts.classes[Math.max(0, masks[m][i] - 1)];
      row[2]++;
      row[3] += Math.floor(i / slice); row[4] += Math.floor((i % slice) / width); row[5] += i % width;
    }
  });
  for (const row of rows) for (let k = 3; k < 6; k++) row[k] = +(row[k] / row[2]).toFixed(2);
  return { ids, rows, columns: ["object", "class", "size_px", "centroid_slice", "centroid_y_px", "centroid_x_px"] };
}
