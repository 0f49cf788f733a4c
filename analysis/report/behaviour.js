"use strict";

// Sorting: a heading's button sorts every section of its table, smallest first, then largest first, then as it was.
// What is missing stays at the end.

const key = (cell) => {
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = Number(text);
  return text === "" ? null : Number.isNaN(number) ? text : number;
};

const compare = (one, other) =>
  typeof one === "number" && typeof other === "number"
    ? one - other
    : String(one).localeCompare(String(other), "en", { numeric: true });

const sort = (table, column, direction) => {
  for (const section of table.tBodies) {
    const heading = section.querySelectorAll("tr.section");
    const rows = [...section.querySelectorAll("tr:not(.section)")];
    rows.forEach((row, index) => (row.dataset.place ??= index));
    rows.sort((one, other) => {
      const places = one.dataset.place - other.dataset.place;
      if (direction === 0) return places;
      const [first, second] = [key(one.cells[column]), key(other.cells[column])];
      if (first === null || second === null) return (first === null) - (second === null) || places;
      return direction * compare(first, second) || places;
    });
    section.replaceChildren(...heading, ...rows);
  }
};

const NEXT = { none: "ascending", ascending: "descending", descending: "none" };
const DIRECTION = { none: 0, ascending: 1, descending: -1 };

for (const table of document.querySelectorAll("table:not(.grid)")) {
  const headings = [...table.querySelectorAll("thead th")];
  headings.forEach((heading, column) => {
    if (heading.classList.contains("why")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const order = NEXT[heading.getAttribute("aria-sort")];
      for (const other of headings) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", order);
      sort(table, column, DIRECTION[order]);
    });
  });
}

// Verdicts: a button shows the claims of one verdict only, with the mark or without; pressed again, all.

const verdicts = [...document.querySelectorAll("button[data-verdict]")];
for (const button of verdicts) {
  button.addEventListener("click", () => {
    const wanted = button.getAttribute("aria-pressed") === "true" ? null : button.dataset;
    for (const other of verdicts) other.setAttribute("aria-pressed", String(other.dataset === wanted));
    for (const section of document.querySelectorAll("#claims tbody")) {
      const rows = [...section.querySelectorAll("tr:not(.section)")];
      for (const row of rows) {
        const { verdictOf, markOf } = row.dataset;
        row.hidden = wanted !== null && (verdictOf !== wanted.verdict || markOf !== wanted.mark);
      }
      section.hidden = rows.every((row) => row.hidden);
    }
  });
}

// A link to something inside a closed part opens the part.

const open = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target?.closest("details"); part; part = part.parentElement?.closest("details")) part.open = true;
  target?.scrollIntoView();
};

addEventListener("hashchange", open);
if (location.hash) open();
