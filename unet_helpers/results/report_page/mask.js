"use strict";
const facts = JSON.parse(document.getElementById("facts").textContent);
const [depth, height, width] = facts.shape, slice = height * width;
const $ = (id) => document.getElementById(id);
const arrays = {};

async function unpack(name) {
  const node = $("array-" + name);
  if (!node) return null;
  const bytes = Uint8Array.from(atob(node.textContent), (c) => c.charCodeAt(0));
  node.remove();
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

// a layer of an array: one of all classes, or one of each class where they overlap
const total = depth * slice, layerOf = (values, layer) => values.subarray(layer * total, (layer + 1) * total);
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
  const rows = [], ids = masks.map((mask) => idsAt(mask, rows));
  for (const row of rows) for (let k = 3; k < 6; k++) row[k] = +(row[k] / row[2]).toFixed(2);
  return { ids, rows, columns: ["object", "class", "size_px", "centroid_slice", "centroid_y_px", "centroid_x_px"] };
}

// the ids of a layer's objects, whose rows are added to the table
function idsAt(mask, rows) {
  const ids = new Int32Array(mask.length), part = facts.frame * slice;
  for (let start = 0; start < mask.length; start += part) {
    const found = components(mask.subarray(start, start + part), true), first = rows.length;
    for (let id = 1; id < found.sizes.length; id++) rows.push([first + id, "", 0, 0, 0, 0]);
    for (let i = 0; i < found.ids.length; i++) {
      if (!found.ids[i]) continue;
      const row = rows[first + found.ids[i] - 1], at = start + i;
      ids[at] = row[0];
      row[1] = facts.classes[mask[at] - 1];
      row[2]++;
      row[3] += Math.floor(at / slice); row[4] += Math.floor((at % slice) / width); row[5] += at % width;
    }
  }
  return ids;
}
