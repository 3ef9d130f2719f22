"use strict";

// What is shown: its facts (shape, thresholds, classes) and arrays, set by showAnswer.
let facts, depth, height, width, slice;
let arrays = {};

function setAnswer(newFacts, newArrays) {
  facts = newFacts;
  arrays = newArrays;
  [depth, height, width] = facts.shape;
  slice = height * width;
}

// the labels at a step of the slider, as Segmentation.labels makes them
function maskAt(step) {
  const { levels, classes } = arrays, mask = new Uint8Array(levels.length);
  for (let i = 0; i < mask.length; i++) if (levels[i] >= step) mask[i] = classes ? classes[i] : 1;
  if (facts.share > 0) {
    const part = facts.frame * slice;
    for (let start = 0; start < mask.length; start += part) dropSmall(mask.subarray(start, start + part));
  }
  return mask;
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
function tableAt(mask) {
  const ids = new Int32Array(mask.length), part = facts.frame * slice;
  let count = 0;
  for (let start = 0; start < mask.length; start += part) {
    const found = components(mask.subarray(start, start + part), true);
    for (let i = 0; i < found.ids.length; i++) if (found.ids[i]) ids[start + i] = found.ids[i] + count;
    count += found.sizes.length - 1;
  }
  return tableOf(ids, mask, count);
}

// size and centroid of the objects 1 to count; the class is that of the mask
function tableOf(ids, mask, count) {
  const rows = Array.from({ length: count }, (_, k) => [k + 1, "", 0, 0, 0, 0]);
  for (let i = 0; i < ids.length; i++) {
    if (!ids[i]) continue;
    const row = rows[ids[i] - 1];
    row[1] = row[1] || facts.classes[Math.max(0, mask[i] - 1)];
    row[2]++;
    row[3] += Math.floor(i / slice); row[4] += Math.floor((i % slice) / width); row[5] += i % width;
  }
  for (const row of rows) for (let k = 3; k < 6; k++) row[k] = +(row[k] / row[2]).toFixed(2);
  return { ids, rows, columns: ["object", "class", "size_px", "centroid_slice", "centroid_y_px", "centroid_x_px"] };
}
