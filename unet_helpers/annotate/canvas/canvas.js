// A canvas to paint on an image: tools, zoom and pan, and strokes that go to the kernel as small
// messages. `mount` draws it into `root`; `link` carries messages:
//   link.state       {key, shape: [height, width], classes: [{name, color}], tools, file}
//   link.picture()   promise of an ImageBitmap
//   link.send(message)
//   link.onReply(function (reply, answer)), where answer is an ImageBitmap or null

const TOOLS = {
  stroke: ["Brush", "b", "Paint the chosen class"],
  erase: ["Eraser", "e", "Take back what you painted"],
  remove: ["Remove", "r", "Click an object to remove it"],
  split: ["Split", "s", "Draw across an object to split it"],
  join: ["Join", "j", "Draw from one object to another to join them"],
  ring: ["Ring", "o", "Draw around something to add it"],
  pan: ["Pan", "h", "Drag the picture"],
};

// Milliseconds without an answer after which the kernel counts as gone.
const PATIENCE = 12000;

// Smallest and largest zoom, in screen px per px of the image, relative to the whole image.
const ZOOMS = [0.5, 40];

function mount(root, link) {
  const state = link.state;
  const [height, width] = state.shape;
  const view = { zoom: 1, left: 0, top: 0 };
  const chosen = { tool: "stroke", name: state.classes[1]?.name ?? "background", width: 5 };
  let classes = state.classes;
  let picture = null;
  let answer = null;
  let drawn = null;
  const fingers = new Map();
  const waiting = new Map();
  let counter = 0;
  let shown = 0; // version of the reply that is shown
  const session = Math.random().toString(36).slice(2);
  const store = "unet_helpers.paint." + state.key;

  // --- the page
  root.classList.add("uh-paint");
  root.tabIndex = 0;
  const bar = add(root, "div", "uh-bar");
  const classBar = add(root, "div", "uh-bar");
  const canvas = add(root, "canvas", "uh-canvas");
  const status = add(root, "div", "uh-status");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "The image, with the answer in colour. Paint with the mouse.");
  status.setAttribute("role", "status");
  status.setAttribute("aria-live", "polite");
  const context = canvas.getContext("2d");

  const toolButtons = {};
  for (const tool of [...state.tools, "pan"]) {
    const [label, key, title] = TOOLS[tool];
    toolButtons[tool] = button(bar, label, `${title} (${key})`, () => choose({ tool }));
  }
  button(bar, "Undo", "Undo (z)", () => send({ action: "undo" }));
  button(bar, "Redo", "Redo (y)", () => send({ action: "redo" }));
  button(bar, "+", "Zoom in (+)", () => zoomBy(1.4));
  button(bar, "−", "Zoom out (-)", () => zoomBy(1 / 1.4));
  button(bar, "Whole", "Show the whole image (0)", fit);
  const size = slider(bar, "Size", 1, 60, chosen.width, (value) => choose({ width: value }));
  const opacity = slider(bar, "Opacity", 0, 100, 50, draw);

  function showClasses() {
    classBar.replaceChildren();
    classes.forEach(({ name, color }, number) => {
      const label = button(classBar, name, `Paint ${name} (${number})`, () =>
        choose({ name, tool: chosen.tool === "ring" ? "ring" : "stroke" }),
      );
      const swatch = add(label, "span", "uh-swatch");
      swatch.style.background = color;
      label.prepend(swatch);
      label.setAttribute("aria-pressed", String(name === chosen.name));
    });
    if (!state.open) return;
    const field = add(classBar, "input", "uh-new");
    field.placeholder = "new class";
    field.setAttribute("aria-label", "Name of a new class");
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key !== "Enter" || !field.value.trim()) return;
      send({ action: "class", name: field.value.trim() });
      chosen.name = field.value.trim();
      choose({ tool: "stroke" });
      root.focus();
    });
  }

  function choose(change) {
    Object.assign(chosen, change);
    size.value = chosen.width;
    for (const [tool, one] of Object.entries(toolButtons)) {
      one.setAttribute("aria-pressed", String(tool === chosen.tool));
    }
    showClasses();
    draw();
  }

  // --- messages
  function send(message) {
    const id = `${session}-${++counter}`;
    const whole = { id, ...message };
    const timer = setTimeout(() => sayGone(), PATIENCE);
    waiting.set(id, { message: whole, timer });
    remember();
    link.send(whole);
  }

  function remember() {
    const unanswered = [...waiting.values()].map(({ message }) => message);
    const toKeep = unanswered.filter(({ action }) => action !== "hello");
    try {
      localStorage.setItem(store, JSON.stringify(toKeep));
    } catch {
      // A page without storage keeps nothing; the kernel's file has all that was answered.
    }
  }

  function recalled() {
    try {
      return JSON.parse(localStorage.getItem(store)) ?? [];
    } catch {
      return [];
    }
  }

  function sayGone() {
    status.classList.add("uh-gone");
    status.textContent =
      `The kernel does not answer: it was restarted, or is busy. What was answered is saved in ` +
      `${state.file}, and ${waiting.size} more are kept in this browser. Run the cell again to go on.`;
  }

  link.onReply((reply, picture) => {
    for (const id of reply.ids ?? []) {
      clearTimeout(waiting.get(id)?.timer);
      waiting.delete(id);
    }
    remember();
    // Replies may overtake one another.
    if (reply.version < shown) return draw();
    shown = reply.version;
    if (picture) answer = picture;
    if (reply.classes) classes = reply.classes;
    status.classList.toggle("uh-gone", Boolean(reply.error));
    status.textContent = reply.error || reply.text;
    root.dataset.strokes = reply.strokes;
    root.dataset.objects = reply.objects;
    showClasses();
    draw();
  });

  // --- drawing
  function draw() {
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const scale = view.zoom * devicePixelRatio;
    context.setTransform(scale, 0, 0, scale, view.left * devicePixelRatio, view.top * devicePixelRatio);
    context.imageSmoothingEnabled = view.zoom < 2;
    if (picture) context.drawImage(picture, 0, 0, width, height);
    context.globalAlpha = opacity.value / 100;
    context.imageSmoothingEnabled = false;
    if (answer) context.drawImage(answer, 0, 0, width, height);
    context.globalAlpha = 1;
    for (const { message } of waiting.values()) if (message.stroke) drawStroke(message.stroke);
    if (drawn) drawStroke(drawn);
  }

  function drawStroke({ tool, points, name, width: thickness }) {
    const color = classes.find((one) => one.name === name)?.color ?? "#ffffff";
    const isPaint = tool === "stroke" || tool === "erase";
    context.strokeStyle = tool === "stroke" ? color : "#ffffff";
    context.lineWidth = isPaint ? thickness : 2 / view.zoom;
    context.lineCap = context.lineJoin = "round";
    if (!isPaint) context.setLineDash([6 / view.zoom, 4 / view.zoom]);
    context.beginPath();
    for (const [row, column] of [points[0], ...points]) context.lineTo(column + 0.5, row + 0.5);
    if (tool === "ring") context.closePath();
    context.stroke();
    context.setLineDash([]);
  }

  function fit() {
    view.zoom = canvas.clientWidth / width;
    view.left = 0;
    view.top = 0;
    draw();
  }

  function zoomBy(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
    const whole = canvas.clientWidth / width;
    const zoom = Math.min(ZOOMS[1] * whole, Math.max(ZOOMS[0] * whole, view.zoom * factor));
    view.left = x - ((x - view.left) * zoom) / view.zoom;
    view.top = y - ((y - view.top) * zoom) / view.zoom;
    view.zoom = zoom;
    draw();
  }

  function resize() {
    const shown = Math.min(root.clientWidth || width, Math.max(480, Math.min(width * 1.5, 900)));
    const before = canvas.clientWidth;
    canvas.style.width = `${shown}px`;
    canvas.style.height = `${Math.min((shown * height) / width, 900)}px`;
    canvas.width = Math.round(canvas.clientWidth * devicePixelRatio);
    canvas.height = Math.round(canvas.clientHeight * devicePixelRatio);
    if (canvas.clientWidth !== before) fit();
    else draw();
  }

  // --- mouse, pen and fingers
  function place(event) {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  function pixel({ x, y }) {
    const row = (y - view.top) / view.zoom - 0.5;
    const column = (x - view.left) / view.zoom - 0.5;
    return [Math.round(row * 10) / 10, Math.round(column * 10) / 10];
  }

  canvas.addEventListener("pointerdown", (event) => {
    root.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, place(event));
    const isPan = chosen.tool === "pan" || event.button === 1 || event.shiftKey;
    if (fingers.size > 1 || isPan) {
      drawn = null;
    } else if (event.button === 0) {
      drawn = { tool: chosen.tool, points: [pixel(place(event))], name: nameOfStroke(), width: chosen.width };
    }
    event.preventDefault();
    draw();
  });

  function nameOfStroke() {
    return chosen.tool === "stroke" || chosen.tool === "ring" ? chosen.name : "";
  }

  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = place(event);
    if (drawn) {
      for (const one of event.getCoalescedEvents?.() ?? [event]) addPoint(pixel(place(one)));
      addPoint(pixel(now));
    } else if (fingers.size === 2) {
      pinch(event.pointerId, before, now);
    } else {
      view.left += now.x - before.x;
      view.top += now.y - before.y;
    }
    fingers.set(event.pointerId, now);
    draw();
  });

  function addPoint(point) {
    const last = drawn.points[drawn.points.length - 1];
    if (Math.hypot(point[0] - last[0], point[1] - last[1]) >= 1) drawn.points.push(point);
  }

  function pinch(id, before, now) {
    const [other] = [...fingers].filter(([one]) => one !== id).map(([, where]) => where);
    const was = Math.hypot(before.x - other.x, before.y - other.y);
    const is = Math.hypot(now.x - other.x, now.y - other.y);
    view.left += (now.x - before.x) / 2;
    view.top += (now.y - before.y) / 2;
    if (was > 0 && is > 0) zoomBy(is / was, (now.x + other.x) / 2, (now.y + other.y) / 2);
  }

  function release(event) {
    fingers.delete(event.pointerId);
    if (event.type === "pointercancel") drawn = null;
    if (!drawn) return draw();
    const stroke = drawn;
    drawn = null;
    send({ action: "stroke", stroke });
    status.textContent = "…";
    draw();
  }
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const { x, y } = place(event);
      zoomBy(Math.exp(-event.deltaY / 400), x, y);
    },
    { passive: false },
  );

  // --- keyboard
  const keys = {
    z: () => send({ action: "undo" }),
    y: () => send({ action: "redo" }),
    "[": () => choose({ width: Math.max(1, chosen.width - 1) }),
    "]": () => choose({ width: Math.min(60, chosen.width + 1) }),
    "+": () => zoomBy(1.4),
    "-": () => zoomBy(1 / 1.4),
    Escape: () => ((drawn = null), draw()),
  };
  for (const tool of Object.keys(toolButtons)) keys[TOOLS[tool][1]] = () => choose({ tool });
  // JupyterLab's own keys (b: a new cell below) do nothing here, but those with Ctrl do.
  const leaveToJupyter = (event) => {
    if (event.ctrlKey || event.metaKey) delete root.dataset.lmSuppressShortcuts;
    else root.dataset.lmSuppressShortcuts = "true";
  };
  window.addEventListener("keydown", leaveToJupyter, { capture: true });
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey) return;
    if (event.target.tagName === "INPUT" && event.target.type !== "range") return;
    const number = Number(event.key);
    if (event.key.trim() && number < classes.length) {
      choose({ name: classes[number].name, tool: "stroke" });
    } else if (keys[event.key]) {
      keys[event.key]();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });

  // --- begin
  choose({});
  new ResizeObserver(resize).observe(root);
  link.picture().then((bitmap) => {
    picture = bitmap;
    draw();
  });
  const unanswered = recalled();
  send({ action: "hello", unanswered });
}

function add(parent, tag, name) {
  const element = document.createElement(tag);
  element.className = name;
  parent.append(element);
  return element;
}

function button(parent, label, title, onClick) {
  const element = add(parent, "button", "uh-button");
  element.type = "button";
  element.append(label);
  element.title = title;
  element.addEventListener("click", onClick);
  return element;
}

function slider(parent, label, min, max, value, onInput) {
  const whole = add(parent, "label", "uh-slider");
  whole.append(label);
  const input = add(whole, "input", "");
  Object.assign(input, { type: "range", min, max, value });
  input.addEventListener("input", () => onInput(Number(input.value)));
  return input;
}
