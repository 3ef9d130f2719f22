"use strict";
// a click on a heading sorts by its column: numbers as numbers, empty cells last
const table = document.getElementById("images"), body = table.tBodies[0];

function valueOf(row, column) {
  const cell = row.cells[column], text = cell.dataset.value ?? cell.textContent.trim();
  const number = Number(text.replaceAll(",", ""));
  return text === "" ? null : Number.isNaN(number) ? text : number;
}

function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

[...table.tHead.rows[0].cells].forEach((heading, column) => {
  heading.querySelector("button")?.addEventListener("click", () => {
    const turn = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const rows = [...body.rows].map((row) => [valueOf(row, column), row]);
    rows.sort(([a], [b]) => (a === null || b === null ? compare(a, b) : turn * compare(a, b)));
    body.replaceChildren(...rows.map(([, row]) => row));
    for (const other of table.tHead.rows[0].cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", turn === 1 ? "ascending" : "descending");
  });
});
