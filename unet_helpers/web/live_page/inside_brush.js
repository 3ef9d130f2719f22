// Look inside: a brush that covers a part of what the network sees. Strokes are points of the image, so
// that they stay where they are if another pixel or zoom is chosen.

// Working px: radius of the brush; and px of the window that an arrow key moves it.
const BRUSH = 8, KEY_STEP = 4;

const brush = { canvas: $("inside-seen"), last: null, at: null };

// A point of the window, (row, column), in px of the image; and back.
function toImage(point) {
  const { view: { at, place, zoom }, size } = inside.found, length = [height, width];
  return point.map((pixel, axis) => ((at[axis] + (pixel - place[axis]) / zoom + 0.5) * length[axis]) / size[axis] - 0.5);
}

function toWindow(point) {
  const { view: { at, place, zoom }, size } = inside.found, length = [height, width];
  return point.map((pixel, axis) => place[axis] + (((pixel + 0.5) * size[axis]) / length[axis] - 0.5 - at[axis]) * zoom);
}

function pixelUnder(event) {
  const box = shownBox(brush.canvas), { h, w } = inside.found.view;
  return [((event.clientY - box.top) / box.height) * h - 0.5, ((event.clientX - box.left) / box.width) * w - 0.5];
}

// Cover a disc, and the way to it from the point before.
function cover(to) {
  const from = brush.last ?? to, { zoom } = inside.found.view;
  const steps = Math.max(1, Math.ceil((2 * Math.hypot(to[0] - from[0], to[1] - from[1])) / (BRUSH * zoom)));
  for (let k = 1; k <= steps; k++) {
    const point = [0, 1].map((axis) => from[axis] + ((to[axis] - from[axis]) * k) / steps);
    inside.strokes.push(toImage(point));
  }
  drawStrokes();
  brush.last = to;
  askInside();
}

function clearCover() {
  inside.strokes = [];
  brush.last = null;
  askInside();
}

// The path of a disc of the brush around a point of the window.
function discAround([r, c]) {
  const path = new Path2D();
  path.arc(c + 0.5, r + 0.5, BRUSH * inside.found.view.zoom, 0, 2 * Math.PI);
  return path;
}

// Strokes that the network has not answered yet, and the brush of the keyboard: a circle.
function drawStrokes() {
  const context = brush.canvas.getContext("2d");
  context.fillStyle = ORANGE;
  for (const point of inside.strokes) context.fill(discAround(toWindow(point)));
}

function drawBrush() {
  if (inside.found.asked !== inside.asked) drawStrokes();
  if (!brush.at || document.activeElement !== brush.canvas) return;
  const context = brush.canvas.getContext("2d");
  context.strokeStyle = BLUE;
  context.stroke(discAround(brush.at));
}

function moveBrush([down, right]) {
  const { h, w, place } = inside.found.view, [y, x] = brush.at ?? place;
  brush.at = [Math.min(h - 1, Math.max(0, y + KEY_STEP * down)), Math.min(w - 1, Math.max(0, x + KEY_STEP * right))];
  brush.canvas.setAttribute("aria-label", `What the network sees, brush at row ${brush.at[0]}, column ${brush.at[1]} of the window`);
  showMaps(inside.found);
}

brush.canvas.addEventListener("pointerdown", (event) => {
  if (!inside.found || event.button !== 0) return;
  brush.canvas.setPointerCapture(event.pointerId);
  brush.last = null;
  brush.at = null;
  cover(pixelUnder(event));
});
brush.canvas.addEventListener("pointermove", (event) => { if (brush.last && event.buttons) cover(pixelUnder(event)); });
brush.canvas.addEventListener("pointerup", () => { brush.last = null; });
brush.canvas.addEventListener("keydown", (event) => {
  if (!inside.found) return;
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (move) moveBrush(move);
  else if (event.key === " ") { brush.last = null; cover(brush.at ?? inside.found.view.place); }
  else if (event.key === "Delete" || event.key === "Backspace") clearCover();
  else return;
  event.preventDefault();
});
$("inside-clear").addEventListener("click", clearCover);
