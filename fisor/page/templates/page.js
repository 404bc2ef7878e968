"use strict";
// Charts, drawn when they come into view, and again in other colours if the scheme changes.
const dark = matchMedia("(prefers-color-scheme: dark)");
const LIGHTER = {"#332288": "#9a90f0", "#117733": "#4fbf73", "#882255": "#d9699f", "#661100": "#d07a60", "#0072B2": "#56a9e6", "#999933": "#b9b94f", "#777777": "#a3a3a3"};
function inScheme(text) {
  return dark.matches ? text.replace(/#[0-9a-fA-F]{6}/g, colour => LIGHTER[colour] ?? colour) : text;
}
const drawn = new Map();
function draw(holder) {
  if (!drawn.has(holder)) drawn.set(holder, holder.querySelector("script").textContent);
  const specification = JSON.parse(inScheme(drawn.get(holder)));
  vegaEmbed(holder, specification, {actions: false, renderer: "svg", tooltip: {theme: dark.matches ? "dark" : "light"}});
}
function paintLegends() {
  document.querySelectorAll(".legend path").forEach(path => {
    path.dataset.colour ??= path.getAttribute("fill");
    path.setAttribute("fill", inScheme(path.dataset.colour));
  });
}
const seen = new IntersectionObserver(entries => {
  for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); draw(entry.target); }
}, {rootMargin: "300px"});
document.querySelectorAll(".vega").forEach(holder => seen.observe(holder));
dark.addEventListener("change", () => { drawn.forEach((_, holder) => draw(holder)); paintLegends(); });
paintLegends();

// Tables, sorted by a click on a heading; what has no number stays below.
document.querySelectorAll("table.sortable").forEach(table => {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => {
    const numeric = [...table.tBodies[0].rows].some(row => row.cells[column].dataset.sort !== undefined);
    const before = heading.getAttribute("aria-sort");
    const descending = before ? before === "ascending" : numeric;
    headings.forEach(other => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const sign = descending ? -1 : 1;
    const value = row => row.cells[column].dataset.sort;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      if (!numeric) return sign * a.cells[column].textContent.localeCompare(b.cells[column].textContent);
      if (value(a) === undefined || value(b) === undefined) return (value(a) === undefined) - (value(b) === undefined);
      return sign * (value(a) - value(b));
    });
    table.tBodies[0].append(...rows);
  }));
});

// What is linked to is opened, if it lies in a closed part.
function reveal() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
}
addEventListener("hashchange", reveal);
reveal();
