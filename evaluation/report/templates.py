"""Skeleton, style and script of report.html; string.Template fills the skeleton."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<header><h1>$title</h1><p class="muted">$subtitle</p></header>
$body
</main>
<script>$plotly</script>
<script type="application/json" id="figures">$figures</script>
<script>$script</script>
</body>
</html>
"""

STYLE = """
:root { --ink: #1c2024; --muted: #5f6770; --line: #dfe3e8; --paper: #ffffff; --card: #f6f7f9;
  --link: #0b5cad; --shade: #00000038; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --muted: #9aa3ad; --line: #353b42; --paper: #15181b; --card: #1e2226;
    --link: #7ab8f5; --shade: #ffffff38; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 24px 20px 64px; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 44px 0 12px; padding-bottom: 6px;
  border-bottom: 1px solid var(--line); }
h3 { font-size: 0.95rem; margin: 0 0 6px; overflow-wrap: anywhere; }
h3 small { display: block; color: var(--muted); font-weight: 400; }
p { margin: 0 0 10px; }
a { color: var(--link); }
.muted { color: var(--muted); font-size: 0.88rem; }
.cards, .plots { display: grid; --least: 320px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, var(--least)), 1fr)); }
.cards { gap: 14px; margin-bottom: 22px; }
.card { background: var(--card); border-radius: 8px; padding: 14px 16px; min-width: 0; }
.card p { font-size: 0.92rem; margin: 0; }
.big { display: block; font-size: 1.6rem; font-weight: 650; line-height: 1.3; }
.big small { display: block; font-size: 0.9rem; font-weight: 400; color: var(--muted); }
.plots { gap: 26px 22px; }
.plots.two { --least: 440px; }
.plots > div { min-width: 0; }
.plot { height: 270px; }
.two .plot { height: 400px; }
.legend { display: flex; flex-wrap: wrap; gap: 6px 10px; margin: 0 0 14px; }
.legend > * { font: inherit; font-size: 0.85rem; color: var(--ink); background: none;
  border: 1px solid var(--line); border-radius: 6px; padding: 3px 10px; text-align: left; }
.legend button { cursor: pointer; }
.legend button[aria-pressed=false] { opacity: 0.45; text-decoration: line-through; }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 5px;
  margin-right: 7px; }
.legend i.rule { height: 0; width: 20px; border-radius: 0; border-top: 2px solid #808890;
  vertical-align: middle; }
.legend i.rule.dashed { border-top-style: dashed; }
.scroll { overflow-x: auto; margin: 0 0 14px; }
/* A table that is wider than the text takes what the window has; a shadow says that more is to
   the right. */
.table { width: max-content; min-width: 100%; max-width: calc(100vw - 40px);
  background:
    linear-gradient(to right, transparent, var(--paper) 70%) right / 60px 100% no-repeat local,
    linear-gradient(to left, var(--shade), transparent) right / 16px 100% no-repeat scroll; }
.table td:first-child, .table th:first-child { position: sticky; left: 0;
  background: var(--paper); }
.table tr.front td:first-child { background: var(--card); }
.scroll img { display: block; max-width: 100%; height: auto; border-radius: 4px; }
figure { margin: 0 0 22px; }
figcaption { color: var(--muted); font-size: 0.88rem; margin-top: 6px; }
table { border-collapse: collapse; font-size: 0.84rem; width: 100%; }
caption { text-align: left; font-weight: 600; padding: 10px 0 6px; }
th, td { padding: 5px 10px; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; font-variant-numeric: tabular-nums; }
th { color: var(--muted); font-weight: 600; vertical-align: bottom; white-space: normal; }
th button { font: inherit; color: inherit; background: none; border: 0; padding: 0;
  text-align: inherit; cursor: pointer; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
.text, th.text { text-align: left; }
td.wrap { white-space: normal; min-width: 200px; }
tr.front td { background: var(--card); }
tr.floor td { color: var(--muted); font-style: italic; }
dl { display: grid; grid-template-columns: minmax(90px, max-content) 1fr; gap: 4px 18px;
  font-size: 0.88rem; margin: 0; }
dt { color: var(--muted); overflow-wrap: anywhere; }
dd { margin: 0; overflow-wrap: anywhere; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 0.94em; }
@media (max-width: 560px) { dl { grid-template-columns: 1fr; } dd { margin-bottom: 8px; } }
"""

SCRIPT = """
"use strict";
const figures = JSON.parse(document.getElementById("figures").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  const axis = { gridcolor: read("--line"), linecolor: read("--muted"), zeroline: false,
    automargin: true, exponentformat: "none" };
  // Dragging zooms with a mouse; with a finger it has to scroll the page.
  const fine = window.matchMedia("(pointer: fine)").matches;
  return { ...layout, dragmode: fine ? "zoom" : false,
    xaxis: { ...axis, ...layout.xaxis }, yaxis: { ...axis, ...layout.yaxis },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: read("--ink") },
    hoverlabel: { bgcolor: read("--card"), bordercolor: read("--muted"), align: "left",
      font: { color: read("--ink"), size: 12 } } };
}

function draw() {
  for (const { id, data, layout } of figures)
    // The mode bar is off because it covers points and, by default, offers to upload the data.
    Plotly.react(id, data, themed(layout), { responsive: true, displaylogo: false,
      displayModeBar: false, showSendToCloud: false, plotlyServerURL: "" });
}

draw();
dark.addEventListener("change", draw);

for (const button of document.querySelectorAll(".legend button"))
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") !== "true";
    for (const other of document.querySelectorAll(".legend button"))
      if (other.dataset.series === button.dataset.series)
        other.setAttribute("aria-pressed", shown);
    for (const { data } of figures)
      for (const trace of data)
        if (trace.meta === Number(button.dataset.series)) trace.visible = shown;
    draw();
  });

function compare(a, b, sign) {
  const [x, y] = [parseFloat(a), parseFloat(b)];
  if (Number.isNaN(x) && Number.isNaN(y)) return sign * a.localeCompare(b);
  if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1; // last, either way
  return sign * (x - y);
}

for (const button of document.querySelectorAll("th button"))
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const text = (row) => row.cells[head.cellIndex].textContent;
    const rows = [...body.rows].sort((a, b) => compare(text(a), text(b), up ? 1 : -1));
    body.append(...rows);
  });
"""
