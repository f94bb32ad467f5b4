// Line plots over time, drawn as `plots.lines` draws them on the server: the same sizes, classes and marks.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [480, 270, 56, 16, 14, 44];
const MOST_SERIES = 8;
const STEPS = [1, 2, 2.5, 5, 10];
const MARKS = [
  "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
  "M-4 -4h8v8h-8z",
  "M0 -5l5 9h-10z",
  "M0 -5l5 5l-5 5l-5 -5z",
];

function make(tag, attributes, ...inside) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inside);
  return element;
}

export function shown(value) {
  if (value === null || value === undefined) return "-";
  return typeof value === "number" ? String(Number(value.toPrecision(4))) : value;
}

function ticks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * STEPS.find((times) => power * times >= rough * (1 - 1e-9));
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at += 1) found.push(at * step);
  return found;
}

// The values of each series by minutes before the newest; gaps stay gaps. The eight with the highest sums.
function seriesOf(points, plot) {
  const newest = points.at(-1).at;
  const found = new Map();
  for (const { at, plots } of points) {
    for (const [name, value] of Object.entries(plots[plot] ?? {})) {
      if (!found.has(name)) found.set(name, []);
      found.get(name).push([(at - newest) / 60, value]);
    }
  }
  const sum = (values) => values.reduce((total, [, value]) => total + (value ?? 0), 0);
  const told = [...found].filter(([, values]) => values.some(([, value]) => value !== null));
  const most = [...told].sort((a, b) => sum(b[1]) - sum(a[1])).slice(0, MOST_SERIES).map(([name]) => name);
  return told.filter(([name]) => most.includes(name));
}

function pieces(values) {
  const found = [[]];
  for (const [x, y] of values) {
    if (y === null) found.push([]);
    else found.at(-1).push([x, y]);
  }
  return found.filter((piece) => piece.length);
}

function axes(minutes, top, atX, atY, unit) {
  const parts = [];
  for (const tick of ticks(0, top, 5)) {
    const y = atY(tick);
    parts.push(make("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y }));
    parts.push(make("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, shown(tick)));
  }
  for (const tick of ticks(-minutes, 0, 3)) {
    const x = atX(tick);
    parts.push(make("line", { class: "rule", x1: x, x2: x, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM + 4 }));
    parts.push(make("text", { x, y: HEIGHT - BOTTOM + 17, "text-anchor": "middle" }, shown(tick)));
  }
  const floor = HEIGHT - BOTTOM;
  parts.push(make("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: floor, y2: floor }));
  parts.push(make("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: floor + 36, "text-anchor": "middle" }, "minutes ago"));
  parts.push(make("text", { x: 2, y: TOP + 3 }, unit));
  return parts;
}

function legend(names) {
  const list = document.createElement("ul");
  list.className = "legend";
  names.forEach((name, number) => {
    const sample = make(
      "svg",
      { viewBox: "-14 -6 28 12", class: "chart", "aria-hidden": "true" },
      make("line", { class: `line s${number}`, x1: -14, x2: 14, y1: 0, y2: 0 }),
      make("path", { class: `dot s${number}`, d: MARKS[number % MARKS.length] }),
    );
    const item = document.createElement("li");
    item.append(sample, name);
    list.append(item);
  });
  return list;
}

// Fill a frame with the plot that it names.
export function draw(frame, points, minutes) {
  const { plot, title, unit } = frame.dataset;
  const series = points.length ? seriesOf(points, plot) : [];
  if (!series.length) {
    const nothing = document.createElement("p");
    nothing.className = "soft";
    nothing.textContent = `${title}: no values yet.`;
    frame.replaceChildren(nothing);
    return;
  }
  const top = Math.max(...series.flatMap(([, values]) => values.map(([, value]) => value ?? 0))) * 1.05 || 1;
  const atX = (x) => LEFT + ((x + minutes) / minutes) * (WIDTH - RIGHT - LEFT);
  const atY = (y) => HEIGHT - BOTTOM - (y / top) * (HEIGHT - BOTTOM - TOP - 6);
  const parts = axes(minutes, top, atX, atY, unit);
  series.forEach(([, values], number) => {
    for (const piece of pieces(values)) {
      const places = piece.map(([x, y]) => `${atX(x).toFixed(1)},${atY(y).toFixed(1)}`);
      if (piece.length > 1) parts.push(make("polyline", { class: `line s${number}`, points: places.join(" ") }));
      const [x, y] = places.at(-1).split(",");
      const mark = { class: `dot s${number}`, transform: `translate(${x} ${y})`, d: MARKS[number % MARKS.length] };
      parts.push(make("path", mark));
    }
  });
  const said = series.map(([name, values]) => `${name}: ${shown(values.at(-1)[1])} now`).join("; ");
  const svg = make("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  svg.append(make("title", {}, title), make("desc", {}, `${said}.`), ...parts);
  frame.replaceChildren(svg, ...(series.length > 1 ? [legend(series.map(([name]) => name))] : []));
}
