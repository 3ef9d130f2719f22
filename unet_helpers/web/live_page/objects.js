// Objects of an answer: results/objects.py in JavaScript, at any threshold.

// The constants of results/objects.py.
const INTERIOR_SMOOTHING = 1 / 12, DYNAMICS_OF_TWO = 0.15, MIN_DYNAMICS = 0.1, MIN_EVIDENCE = 4.0, MIN_RELATIVE_CERTAINTY = 0.8;

// Heights are sorted in so many steps.
const HEIGHT_STEPS = 4096;

// Nuclei: one for each clear maximum of the smoothed P(interior) - P(border), as split_interiors finds them.
function splitInteriors(probabilities, foreground, zoom) {
  const size = foreground.length, heights = heightsOf(probabilities, zoom), regions = new Int32Array(size);
  const peaks = [0], areas = [0], saddles = new Map(), near = [0, 0, 0, 0];

  // A pixel belongs to the region of its highest neighbour that was seen before, or it is a maximum.
  for (const i of highestFirst(heights, foreground)) {
    const x = i % width;
    near[0] = i - width; near[1] = i + width; near[2] = x ? i - 1 : -1; near[3] = x < width - 1 ? i + 1 : -1;
    const seen = near.filter((j) => j >= 0 && j < size && regions[j]);
    if (seen.length) regions[i] = regions[seen.reduce((a, b) => (heights[b] > heights[a] ? b : a))];
    else regions[i] = peaks.push(heights[i]) - 1;
    areas[regions[i]] = (areas[regions[i]] ?? 0) + 1;

    // The first pixel at which two regions meet is the saddle between them.
    for (const j of seen) {
      const pair = `${Math.min(regions[i], regions[j])} ${Math.max(regions[i], regions[j])}`;
      if (regions[i] !== regions[j] && !saddles.has(pair)) saddles.set(pair, heights[i]);
    }
  }

  const rootOf = joinOverSaddles(saddles, peaks, areas, facts.objectDiameter / zoom);
  return dropDoubtful(regions.map(rootOf), probabilities, zoom, peaks.length - 1);
}

// Joins regions that meet above a saddle, highest saddle first; returns what gives the joined region of one.
function joinOverSaddles(saddles, peaks, areas, diameter) {
  const parents = Array.from(peaks.keys()), areaOfTwo = 2 * Math.PI * (diameter / 2) ** 2;
  const rootOf = (region) => {
    while (parents[region] !== region) region = parents[region] = parents[parents[region]];
    return region;
  };
  for (const [pair, saddle] of saddles) {
    const [first, second] = pair.split(" ").map((region) => rootOf(+region)), area = areas[first] + areas[second];
    const needed = Math.max(MIN_DYNAMICS, (DYNAMICS_OF_TWO * areaOfTwo) / area);
    if (first === second || Math.min(peaks[first], peaks[second]) - saddle >= needed) continue;
    parents[second] = first;
    peaks[first] = Math.max(peaks[first], peaks[second]);
    areas[first] = area;
  }
  return rootOf;
}

// The smoothed P(interior) - P(border) of the last answer, which does not change with the threshold.
const lastHeights = { probabilities: null, heights: null };

function heightsOf(probabilities, zoom) {
  if (lastHeights.probabilities !== probabilities) {
    const size = height * width, difference = new Float32Array(size);
    for (let i = 0; i < size; i++) difference[i] = probabilities[size + i] - probabilities[2 * size + i];
    Object.assign(lastHeights, { probabilities, heights: smoothed(difference, height, width, (INTERIOR_SMOOTHING * facts.objectDiameter) / zoom) });
  }
  return lastHeights.heights;
}

// The pixels of a mask, from the highest to the lowest, by counting those of each step.
function highestFirst(heights, mask) {
  const stepOf = (i) => Math.floor(((1 - heights[i]) / 2) * (HEIGHT_STEPS - 1));
  const ends = new Int32Array(HEIGHT_STEPS + 1);
  for (let i = 0; i < mask.length; i++) if (mask[i]) ends[stepOf(i) + 1]++;
  for (let step = 0; step < HEIGHT_STEPS; step++) ends[step + 1] += ends[step];
  const order = new Int32Array(ends[HEIGHT_STEPS]);
  for (let i = 0; i < mask.length; i++) if (mask[i]) order[ends[stepOf(i)]++] = i;
  return order;
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
  interiors: "Objects are separated by a watershed in this page, at each threshold.",
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
