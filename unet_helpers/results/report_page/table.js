function fillTable() {
  const own = state.step === facts.threshold, { columns, rows } = state.table, shown = rows.slice(0, 2000);
  const line = (cells, tag) => cells.map((value) => Object.assign(document.createElement(tag), { textContent: value ?? "" }));
  const head = document.createElement("tr");
  head.append(...line(columns, "th"));
  $("objects").tHead.replaceChildren(head);
  $("objects").tBodies[0].replaceChildren(...shown.map((cells) => {
    const row = document.createElement("tr"), button = document.createElement("button");
    row.dataset.id = cells[0];
    row.append(...line(cells, "td"));
    Object.assign(button, { type: "button", textContent: cells[0] });
    button.setAttribute("aria-label", `Show object ${cells[0]}`);
    button.setAttribute("aria-pressed", "false");
    row.cells[0].replaceChildren(button);
    row.addEventListener("click", () => choose(+row.dataset.id, true));
    return row;
  }));
  $("table-note").textContent = (state.table.note || (own ? "The objects of the result." : "Found and measured in the page, without the watershed of the result; what it cannot measure is empty."))
    + (rows.length > shown.length || rows.length === 2000 ? " The table shows the first 2,000." : "");
}

function histogram() {
  const counts = new Array(100).fill(0), context = $("histogram").getContext("2d");
  const { levels } = arrays, byLevel = new Uint32Array(256);
  for (let i = 0; i < levels.length; i++) byLevel[levels[i]]++;
  facts.steps.forEach((step, level) => { counts[Math.min(99, Math.floor(100 * step))] += byLevel[level]; });
  const most = Math.log1p(counts.reduce((a, b) => Math.max(a, b)));
  context.clearRect(0, 0, 640, 140);
  context.fillStyle = "#56B4E9";
  counts.forEach((n, i) => context.fillRect(i * 6.4, 140 - (138 * Math.log1p(n)) / most, 5.6, 140));
  context.fillStyle = "#D55E00";
  context.fillRect(640 * facts.steps[state.step] - 1, 0, 2, 140);
}

