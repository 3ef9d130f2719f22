// Objects of an answer: results/objects.py in JavaScript, at any threshold.

// The constants of results/objects.py.
const SEED_CERTAINTY = 0.7, MIN_SEED_AREA = 25, MIN_EVIDENCE = 4.0, MIN_RELATIVE_CERTAINTY = 0.8;

// Nuclei: each grown from its interior, as split_interiors does.
function splitInteriors(probabilities, foreground, zoom) {
  const size = foreground.length, interior = probabilities.subarray(size, 2 * size), border = probabilities.subarray(2 * size, 3 * size);
  const certain = new Uint8Array(size);
  for (let i = 0; i < size; i++) certain[i] = +(interior[i] - border[i] > SEED_CERTAINTY);

  const seeds = components(certain, false), ids = new Int32Array(size);
  let count = 0;
  const numbers = seeds.sizes.map((n, id) => (id && n >= MIN_SEED_AREA / zoom ** 2 ? ++count : 0));
  for (let i = 0; i < size; i++) ids[i] = foreground[i] ? numbers[seeds.ids[i]] : 0;

  // A region without a seed is one nucleus.
  const regions = components(foreground, false), hasSeed = new Uint8Array(regions.sizes.length);
  for (let i = 0; i < size; i++) if (numbers[seeds.ids[i]]) hasSeed[regions.ids[i]] = 1;
  const alone = regions.sizes.map((_, id) => (id && !hasSeed[id] ? ++count : 0));
  for (let i = 0; i < size; i++) if (foreground[i] && alone[regions.ids[i]]) ids[i] = alone[regions.ids[i]];

  flood(ids, (i) => 1 - interior[i], foreground);
  return dropDoubtful(ids, probabilities, zoom, count);
}

// Watershed by flooding (Meyer 1994): seeds grow into a mask, lowest pixels first, in 256 levels.
function flood(ids, heightOf, mask) {
  const queues = Array.from({ length: 257 }, () => []), next = [0, 0, 0, 0];
  const push = (i, id, level) => {
    ids[i] = id;
    queues[Math.max(level, Math.min(256, Math.floor(256 * heightOf(i))))].push(i);
  };
  for (let i = 0; i < ids.length; i++) if (ids[i]) queues[Math.min(256, Math.floor(256 * heightOf(i)))].push(i);
  for (let level = 0; level <= 256; level++)
    for (let k = 0; k < queues[level].length; k++) {
      const i = queues[level][k], x = i % width;
      next[0] = i - width; next[1] = i + width; next[2] = x ? i - 1 : -1; next[3] = x < width - 1 ? i + 1 : -1;
      for (const j of next) if (j >= 0 && j < ids.length && mask[j] && !ids[j]) push(j, ids[i], level);
    }
}

// Numbers ids anew, without objects for which there is too little evidence.
function dropDoubtful(ids, probabilities, zoom, count) {
  let sum = 0, n = 0;
  for (let i = 0; i < ids.length; i++) if (ids[i]) { sum += 1 - probabilities[i]; n++; }
  const least = MIN_RELATIVE_CERTAINTY * (n ? sum / n : 1), evidence = new Float64Array(count + 1);
  for (let i = 0; i < ids.length; i++) if (ids[i]) evidence[ids[i]] += 1 - probabilities[i] - least;
  let kept = 0;
  const numbers = Array.from(evidence, (e, id) => (id && e >= MIN_EVIDENCE / zoom ** 2 ? ++kept : 0));
  for (let i = 0; i < ids.length; i++) ids[i] = numbers[ids[i]];
  return { ids, count: kept };
}

// Cells: what membranes enclose, connected by sides. Python also closes gaps in membranes.
function cellsBetween(mask) {
  const inner = mask.map((v) => +!v), { ids, regions } = regionsOf(inner, height, width, false);
  return { ids, count: regions.length - 1 };
}

// What the page says about its objects, by the card's way to find them.
const NOTES_ON_OBJECTS = {
  interiors: "Objects are grown from their interiors by a watershed in this page, at each threshold.",
  membranes: "Cells are what membranes enclose at this threshold; Python also closes gaps in membranes.",
  components: "Objects are connected pixels of the mask, measured in this page.",
  segments: "Each segment of a vessel has the class that its pixels vote for, at each threshold. Objects are connected pixels of a class.",
};

// Masks and table at a step of the slider, from the probabilities (K, H, W).
function objectsAt(step, probabilities, zoom) {
  const masks = eachLayer((layer) => maskAt(step, layer)), [mask] = masks;
  if (facts.classOf === "segment") masks[0] = classesOfSegments(probabilities, mask);
  let note = NOTES_ON_OBJECTS[facts.classOf === "segment" ? "segments" : facts.method];
  if (facts.measures === "chest") note = chestInWords(masks);
  if (facts.method === "components") return { masks, table: { ...tableAt(masks), counted: true, note } };

  const split = facts.method === "interiors" ? splitInteriors(probabilities, mask, zoom) : cellsBetween(mask);
  const classOf = facts.method === "interiors" ? facts.classes[0] : "cell", table = tableOf([split.ids], masks, split.count);
  for (const row of table.rows) row[1] = classOf;
  return { masks, table: { ...table, counted: true, note } };
}
