// The data, and how pieces of the page are made. Texts are written as text alone: nothing here reads markup.
"use strict";
let data, entries, total;
const $ = id => document.getElementById(id);

async function unpack() {
  const packed = atob($("data").textContent), bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  $("data").remove();
  data = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  entries = data.entries;
  total = entries.id.length;
}

// el("span.badge", {title: "..."}, "text", node): an element with classes, attributes (functions: listeners) and children.
function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const svg = /^(svg|line|circle|path|text|g)$/.test(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  if (classes.length) node.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

const points = thousandths => {
  const value = Math.round(thousandths / 10);
  return value < 0 ? `−${-value}` : value > 0 ? `+${value}` : "0";
};
const tone = figures => !figures || (figures[1] <= 0 && figures[2] >= 0) ? "undecided" : figures[0] > 0 ? "better" : "worse";
const effectText = figures => figures ? `${points(figures[0])} [${points(figures[1])}, ${points(figures[2])}]` : "not measured";
const short = (text, length = 90) => text.length > length ? text.slice(0, length - 1) + "…" : text;
const oneLine = text => text.replace(/\s+/g, " ");
const options = (select, names, values = names) =>
  select.replaceChildren(...names.map((name, i) => el("option", {value: values[i]}, String(name))));

// The effect with its interval, from -100 to +100 points.
function interval(figures, width = 132) {
  const x = value => 5 + (width - 10) * (Math.max(-1000, Math.min(1000, value)) + 1000) / 2000;
  const box = el(`svg.interval.${tone(figures)}`, {width, height: 18, role: "img", "aria-label": effectText(figures)});
  box.append(el("line.zero", {x1: x(0), x2: x(0), y1: 1, y2: 17}));
  if (figures) {
    box.append(el("line", {x1: x(figures[1]), x2: x(figures[2]), y1: 9, y2: 9}), el("circle", {cx: x(figures[0]), cy: 9, r: 4.5}));
  }
  return box;
}

// A curve over the rounds: points [round, value, low?, high?], drawn between `least` and `most`.
function curve(title, rows, least, most, label, mark = "") {
  const width = 420, height = 130, rounds = data.moments.map(moment => moment[0]);
  const first = rounds[0], span = Math.max(1, rounds[rounds.length - 1] - first);
  const x = round => 44 + (width - 56) * (round - first) / span;
  const y = value => 10 + (height - 34) * (most - value) / (most - least || 1);
  const path = (which, back = []) => [...which, ...back].map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)},${y(b).toFixed(1)}`).join("");
  const box = el(`svg.curve`, {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}: ${rows.map(row => `round ${row[0]} ${label(row[1])}`).join(", ")}`});
  for (const value of least < 0 ? [least, 0, most] : [least, most]) {
    box.append(el("line.zero", {x1: 44, x2: width - 12, y1: y(value), y2: y(value)}), el("text", {x: 38, y: y(value) + 4, "text-anchor": "end"}, label(value)));
  }
  box.append(el("text", {x: 44, y: height - 6}, `round ${first}`), el("text", {x: width - 12, y: height - 6, "text-anchor": "end"}, `${first + span}`));
  if (rows.length && rows[0].length > 2) box.append(el("path.band", {d: path(rows.map(r => [r[0], r[2]]), rows.map(r => [r[0], r[3]]).reverse()) + "Z"}));
  box.append(el(`path.line${mark}`, {d: path(rows)}));
  if (rows.length < 80) box.append(...rows.map(row => el(`circle${mark}`, {cx: x(row[0]), cy: y(row[1]), r: 3})));
  return el("figure.plot", {}, el("figcaption", {}, el("h3", {}, title)), box);
}
