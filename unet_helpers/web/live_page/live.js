// The page of a network: files go to the worker, answers come back and are shown as in a report.
const live = { page: JSON.parse($("facts").textContent), worker: null, waiting: new Map(), asked: 0, request: 0, image: null, file: null, answered: false };

function say(text, isError = false) {
  $("status").textContent = text;
  $("status").classList.toggle("warning", isError);
}

function busy(isBusy) {
  $("cancel").hidden = !isBusy;
  $("progress").hidden = !isBusy;
}

const ON_MESSAGE = {
  ready({ provider }) {
    document.body.dataset.provider = provider;
    document.body.dataset.ready = "yes";
    say(`Ready. The network runs in this page (${provider}); nothing is sent anywhere.`);
  },

  async image(message) {
    live.image = message;
    live.answered = false;
    const { height: h, width: w, channels, pixels } = message;
    const { card } = live.page;
    const nothing = { ...card, shape: [1, h, w], shown: [h, w], channels, spacing: [1, 1, 1], wide: true, frame: 1, own: { shape: [h, w] }, planes: false, body: false, rows: [], columns: [], name: card.card };
    $("notes").replaceChildren(...message.notes.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
    showSlices(message);
    suggestScale(message);
    $("view").hidden = false;
    await showAnswer(nothing, { pixels, levels: new Uint8Array(h * w), objects: new Int32Array(h * w) });
    askForAnswer();
  },

  progress({ request, text, done, total }) {
    if (request !== live.request) return;  // it was cancelled meanwhile
    busy(true);
    $("progress").max = total;
    $("progress").value = done;
    say(`${text}${total > 1 ? `: tile ${done + 1} of ${total}` : ""} …`);
  },

  async answer(message) {
    if (message.request !== live.request) return;
    live.answered = true;
    const { levels, classes } = message;
    await showAnswer(message.facts, { ...arrays, levels, classes });
    busy(false);
    say(`Answered in ${message.seconds.toFixed(1)} s (${message.provider}).`);
    document.body.dataset.answered = live.image.name;
    document.body.dataset.seconds = message.seconds;
    document.dispatchEvent(new CustomEvent("answered", { detail: message }));
  },

  objects({ asked, masks, table }) {
    const answered = live.waiting.get(asked);
    live.waiting.delete(asked);
    if (answered) answered({ masks, table });
  },

  error({ name, text, during, isKnown }) {
    busy(false);
    const what = name ? `${name}: ` : "";
    const advice = isKnown ? "" : " The page goes on; reload it if the next image fails, too.";
    say(`${what}${text}${advice}`, true);
    document.body.dataset.failed = during;
  },
};

// Masks and tables are made in the worker, so that the page does not stand still.
const nothingFound = { ids: [[]], rows: [], columns: [], counted: true, note: "The network has not answered yet." };
analyse = (step) => {
  if (!live.answered) return { masks: [new Uint8Array(total)], table: nothingFound };
  const asked = ++live.asked;
  live.worker.postMessage({ type: "objects", step, asked });
  return new Promise((resolve) => live.waiting.set(asked, resolve));
};

async function open(file) {
  say(`Reading ${file.name} …`);
  delete document.body.dataset.answered;
  delete document.body.dataset.failed;
  const buffer = await file.arrayBuffer();
  live.file = file;
  live.worker.postMessage({ type: "read", buffer, name: file.name });
}

function askForAnswer() {
  busy(true);
  delete document.body.dataset.answered;
  live.worker.postMessage({ type: "segment", request: ++live.request, zoom: zoomAsked() });
}

// Slices of a volume or frames of a DICOM file.
function showSlices({ slices, slice: shown }) {
  $("slices").hidden = slices < 2;
  Object.assign($("slice"), { max: slices - 1, value: shown });
  $("slice-value").textContent = `${shown} of 0 to ${slices - 1}`;
}

// The scale: a diameter of objects, or the size of a pixel; a zoom of 0 is one that the graph finds.
function zoomAsked() {
  const { scale } = live.page;
  if (!scale) return 0;
  const value = +$("scale").value;
  return scale.kind === "diameter" ? scale.size / value : Math.min(4, Math.max(0.25, value / scale.size));
}

function suggestScale({ spacing }) {
  const { scale } = live.page;
  if (!scale) return;
  const zoom = spacing && scale.spacing ? spacing[0] / scale.spacing : 0, isLikely = zoom > 1 / 16 && zoom < 16;
  if (isLikely) $("scale").value = scale.kind === "diameter" ? scale.size / zoom : scale.size * zoom;
  else if (scale.kind === "spacing") $("scale").value = scale.start;
  showScale();
}

function showScale() {
  const { scale } = live.page;
  $("scale-value").textContent = scale.kind === "diameter" ? `${$("scale").value} px` : "";
}

// A circle as large as a typical object would be, in the middle of the picture.
decorate = (plane, context) => {
  const { scale } = live.page;
  if (!scale || scale.kind !== "diameter") return;
  const { canvas } = plane, radius = ((+$("scale").value / 2) * canvas.width * state.zoom) / plane.size[1];
  context.lineWidth = Math.max(1, canvas.width / 500);
  for (const [color, dash] of [["#000", []], ["#fff", [6, 6]]]) {
    context.strokeStyle = color;
    context.setLineDash(dash);
    context.beginPath();
    context.arc(canvas.width / 2, canvas.height / 2, radius, 0, 2 * Math.PI);
    context.stroke();
  }
  context.setLineDash([]);
};

function listenToFiles() {
  const take = (files) => { if (files.length) open(files[0]); };
  $("file").addEventListener("change", () => { take($("file").files); $("file").value = ""; });
  addEventListener("dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
  addEventListener("dragleave", () => $("drop").classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    take(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => take(event.clipboardData.files));
  $("cancel").addEventListener("click", () => {
    live.request++;
    live.worker.postMessage({ type: "cancel" });
    busy(false);
    say("Cancelled.");
  });
  if ($("sample")) $("sample").addEventListener("click", async () => open(new File([live.sample], live.page.sample)));
  $("slice").addEventListener("change", async () => {
    live.worker.postMessage({ type: "read", buffer: await live.file.arrayBuffer(), name: live.file.name, slice: +$("slice").value });
  });
  if (!live.page.scale) return;
  $("scale").addEventListener("input", () => { showScale(); drawAll(); });
  $("scale").addEventListener("change", () => { if (live.image) askForAnswer(); });
}

async function startWorker() {
  const text = $("worker").textContent;
  live.worker = new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
  live.worker.onmessage = ({ data }) => ON_MESSAGE[data.type](data);
  live.worker.onerror = (event) => say(`The network could not be started: ${event.message}. Try a newer browser.`, true);
  const parts = { facts: live.page, libraries: {} };
  for (const name of ["runtime", "wasm", "network", "prepare_uint8", "prepare_uint16", "prepare_float32", "finish"]) parts[name] = new Uint8Array(await unpack(name));
  const files = {};
  for (const [name, names] of Object.entries(live.page.libraries)) {
    for (const file of names) files[file] ??= new Uint8Array(await unpack(file));
    parts.libraries[name] = names.map((file) => files[file]);
  }
  live.sample = await unpack("sample");
  live.worker.postMessage({ type: "start", parts });
}

(async () => {
  listenToControls();
  listenToFiles();
  if (live.page.scale) showScale();
  try {
    await startWorker();
  } catch (error) {
    say(`This browser cannot run the page (${error.message}). Try a newer one.`, true);
  }
})();
