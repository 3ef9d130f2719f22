// The cardiothoracic ratio of a frontal chest X-ray: results/chest.py in JavaScript.

// Widths in px of the heart and of the chest inside, from the masks of all classes; null if a part is missing.
function chestWidths(masks) {
  const maskOf = (name) => masks[facts.classes.indexOf(name)], heart = extentOf([maskOf("heart")]);
  const lungs = ["right lung", "left lung"].map(maskOf);
  if (!heart || !lungs.every((lung) => extentOf([lung]))) return null;
  return { heart: heart.right - heart.left, chest: extentOf(lungs).widest };
}

// The columns between which masks lie, and their widest row; null if they are empty.
function extentOf(masks) {
  const extent = { left: width, right: 0, widest: 0 };
  for (let y = 0; y < height; y++) {
    let first = width, stop = 0;
    for (let x = 0; x < width; x++) if (masks.some((mask) => mask[y * width + x])) { first = Math.min(first, x); stop = x + 1; }
    if (stop) Object.assign(extent, { left: Math.min(extent.left, first), right: Math.max(extent.right, stop), widest: Math.max(extent.widest, stop - first) });
  }
  return extent.right ? extent : null;
}

function chestInWords(masks) {
  const widths = chestWidths(masks);
  if (!widths) return "No cardiothoracic ratio: the heart or a lung was not found.";
  return `Cardiothoracic ratio ${(widths.heart / widths.chest).toFixed(3)}: the heart is ${widths.heart} px wide, the chest ${widths.chest} px inside.`;
}
