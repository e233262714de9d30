"use strict";
// A heading sorts its column: numbers from the largest, words from A; once more turns it round. What has no value stays last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const rows = [...body.rows];
      const number = (row) => row.cells[column].dataset.number;
      const numeric = rows.some((row) => number(row) !== undefined);
      const before = head.getAttribute("aria-sort");
      const up = before ? before === "descending" : !numeric;
      const value = (row) => {
        const text = row.cells[column].textContent;
        if (!numeric) return text === "–" ? undefined : text;
        return number(row) === undefined ? undefined : Number(number(row));
      };
      const order = (a, b) => (numeric ? a - b : a.localeCompare(b, undefined, { numeric: true })) * (up ? 1 : -1);
      rows.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
        return order(x, y);
      });
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      body.append(...rows);
    });
  });
}
// A row, a curve or a point lights up its group everywhere.
const light = (event) => {
  const group = event.target.closest?.("[data-group]")?.dataset.group;
  for (const lit of document.querySelectorAll(".lit")) lit.classList.remove("lit");
  if (group !== undefined) for (const own of document.querySelectorAll(`[data-group="${group}"]`)) own.classList.add("lit");
};
document.addEventListener("pointerover", light);
