// One small chart: a card with a title, a legend that tells values, and a canvas drawn by uPlot.
import uPlot from "uplot";
import { alone } from "./columns.js";
import { element, short, tenTo, ticks } from "./text.js";

const DASHES = { solid: [], dash: [6, 3], dot: [2, 3], long: [12, 4] };
const SVG = "http://www.w3.org/2000/svg";
const LEAST = 40; // pixels: a smaller canvas is not drawn

export class Chart {
  // `view` has `color(name)`, `font()`, `small` (its size), `marks`, `hover(x)` and `zoom(range)`; `about` is a chart of charts.toml.
  constructor(about, view) {
    this.about = about;
    this.view = view;
    this.card = element("section", `trpolab-plot trpolab-plot-${about.key}`);
    this.card.tabIndex = 0;
    this.card.setAttribute("role", "group");
    this.card.title = about.about;
    const head = element("div", "trpolab-plot-head", "", this.card);
    element("b", "", about.title, head);
    this.where = element("span", "trpolab-plot-where", "", head);
    const legend = element("div", "trpolab-plot-legend", "", this.card);
    this.entries = about.lines.map((line) => entry(line, legend));
    this.canvas = element("div", "trpolab-plot-canvas", "", this.card);
    this.data = [[], ...about.lines.map(() => [])];
    this.bands = null;
    this.range = [0, 1];
    this.plot = null;
    this.width = this.height = 0; // of the canvas, in pixels, as the view has seen it last
  }

  // Draw `x` and `ys`, the values of each line there, over a range of x. `bands`: what lies around each line, or null.
  draw({ x, ys, bands }, range) {
    const { width, height } = this;
    const data = [x, ...ys];
    Object.assign(this, { data, bands, range });
    if (width < LEAST || height < LEAST) return;
    this.plot ??= new uPlot(this.options(width, height), data, this.canvas);
    this.plot.batch(() => {
      if (this.plot.width !== width || this.plot.height !== height) this.plot.setSize({ width, height });
      this.plot.setData(data, true);
    });
  }

  // Write the values of a row into the legend and the label that screen readers read.
  tell(values, where) {
    const { empty } = this.about;
    write(this.where, empty && where && !values.some(Number.isFinite) ? empty : where);
    const said = this.about.lines.map((line, place) => {
      const value = short(values[place]);
      write(this.entries[place].value, value);
      this.entries[place].box.hidden = Boolean(line.optional) && this.data[place + 1].every((y) => y === null);
      return `${line.name} ${value}`;
    });
    this.card.setAttribute("aria-label", `${this.about.title}, ${where}: ${said.join(", ")}`);
  }

  // Put the cursor at an iteration, or take it away (null).
  point(x) {
    if (x === null && this.pointed === null) return;
    this.pointed = x;
    this.plot?.setCursor({ left: x === null ? -10 : this.plot.valToPos(x, "x"), top: -10 }, false);
  }

  // The text has another size: the next drawing begins anew.
  renew() {
    this.plot?.destroy();
    this.plot = null;
  }

  options(width, height) {
    const { about, view } = this;
    const axis = { stroke: () => view.color("dim"), font: view.font(), ticks: { show: false }, gap: 4 };
    return {
      width, height,
      padding: [about.marked ? 1.25 * view.small : 5, 16, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        points: { size: 6 },
        drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => () => view.zoom(null) },
      },
      scales: {
        x: { time: false, range: () => this.range },
        y: { distr: about.scale === "log" ? 3 : 1, range: (plot, low, high) => this.heights(low, high) },
      },
      axes: [
        { ...axis, grid: { show: false }, size: 7 + 1.05 * view.small, space: 4.4 * view.small, incrs: WHOLE, values: (_, splits) => ticks(splits) },
        {
          ...axis,
          size: (_, labels) => 10 + 0.59 * view.small * Math.max(2, ...(labels ?? []).map((label) => (label ?? "").length)),
          space: 2.3 * view.small,
          grid: { stroke: () => view.color("rule"), width: 1 },
          ...(about.scale === "log" ? { splits: decades, filter: (_, splits) => splits, values: (_, splits) => splits.map(power) } : { values: (_, splits) => ticks(splits) }),
          ...(about.whole ? { incrs: WHOLE } : {}),
        },
      ],
      series: [{}, ...about.lines.map((line, place) => this.series(line, place + 1))],
      hooks: {
        setCursor: [(plot) => view.hover(this, plot.cursor.left < 0 ? null : plot.posToVal(plot.cursor.left, "x"))],
        setSelect: [(plot) => this.select(plot)],
        drawAxes: [(plot) => this.drawBands(plot)],
        draw: [(plot) => about.marked !== undefined && drawMarks(plot, view, about.marked)],
      },
    };
  }

  series(line, place) {
    const { view } = this;
    const paths = line.mode === "markers" ? () => null : line.shape === "hv" ? uPlot.paths.stepped({ align: 1 }) : undefined;
    return {
      label: line.name,
      stroke: () => view.color(line.color),
      width: line.width,
      dash: DASHES[line.dash],
      spanGaps: line.spans,
      ...(paths ? { paths } : {}),
      points: {
        show: true,
        size: 5,
        fill: () => view.color(line.color),
        filter: () => (line.mode === "lines" ? alone(this.data[place], line.spans) : null),
      },
    };
  }

  // Between the lowest and the highest of each stretch of rows that is one point of the line.
  drawBands(plot) {
    if (!this.bands) return;
    const { ctx } = plot;
    const { left, top, width, height } = plot.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    this.about.lines.forEach((line, place) => {
      const around = this.bands[place];
      if (!around) return;
      ctx.beginPath();
      this.data[0].forEach((x, k) => {
        if (around.low[k] === null || around.low[k] === around.high[k]) return;
        const [at, from, to] = [plot.valToPos(x, "x", true), plot.valToPos(around.low[k], "y", true), plot.valToPos(around.high[k], "y", true)];
        ctx.moveTo(at, from);
        ctx.lineTo(at, to);
      });
      ctx.strokeStyle = this.view.color(line.color);
      ctx.globalAlpha = 0.28;
      ctx.lineWidth = Math.max(1, (1.1 * width) / this.data[0].length);
      ctx.stroke();
    });
    ctx.restore();
  }

  select(plot) {
    const { left, width } = plot.select;
    if (width < 4) return;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.view.zoom([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
  }

  // The range of the vertical axis for what is seen.
  heights(low, high) {
    const { scale, zero, least, most, within } = this.about;
    if (low === null || high === null) return scale === "log" ? [0.1, 1] : [0, 1];
    for (const around of this.bands ?? []) {
      for (const value of around?.low ?? []) if (value !== null && value < low) low = value;
      for (const value of around?.high ?? []) if (value !== null && value > high) high = value;
    }
    if (scale === "log") return low === high ? [low / 2, high * 2] : [low / 1.2, high * 1.2];
    if (within) { // so far at most, as a multiple of another line's highest
      const [name, times] = within;
      const place = this.about.lines.findIndex((line) => line.metric === name);
      const bound = Math.max(...this.data[place + 1].map((value) => value ?? 0));
      if (bound > 0) [low, high] = [low, Math.min(Math.max(high, 1.25 * bound), times * bound)];
    }
    if (zero) [low, high] = [Math.min(low, 0), Math.max(high, 0)];
    const room = 0.06 * (high - low || Math.abs(high) || 1);
    [low, high] = [low === 0 && zero ? 0 : low - room, high === 0 && zero && low < 0 ? 0 : high + room];
    [low, high] = [Math.max(low, least ?? -Infinity), Math.min(high, most ?? Infinity)];
    return high > low ? [low, high] : [low, low + 1]; // uPlot divides the range without end where there is none
  }
}

const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6];

// Powers of ten within a logarithmic axis, four at most; where there are fewer than two, 1, 2 and 5 times them.
function decades(plot, axis, low, high) {
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  const step = Math.max(1, Math.ceil((last - first + 1) / 4));
  const tens = [];
  for (let exponent = first; exponent <= last; exponent += step) tens.push(10 ** exponent);
  if (tens.length > 1) return tens;
  const fine = [];
  for (let exponent = first - 1; exponent <= last; exponent++) fine.push(...[1, 2, 5].map((digit) => digit * 10 ** exponent));
  return fine.filter((split) => split >= low && split <= high);
}

function power(split) {
  const exponent = Math.round(Math.log10(split));
  const whole = Math.abs(split / 10 ** exponent - 1) < 1e-6;
  return !whole || (exponent >= -2 && exponent <= 3) ? short(split) : tenTo(exponent);
}

// Thin lines where knobs were turned; with `numbered` the marks' numbers above them, neighbours drawn together: 3–5.
function drawMarks(plot, view, numbered) {
  const { ctx } = plot;
  const ratio = uPlot.pxRatio;
  const { left, top, width, height } = plot.bbox;
  const places = view.marks.map((mark, place) => ({ number: place + 1, x: plot.valToPos(mark.at, "x", true) }))
    .filter(({ x }) => x >= left - 1 && x <= left + width + 1);
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = view.color("dim");
  ctx.globalAlpha = 0.55;
  ctx.lineWidth = ratio;
  ctx.beginPath();
  for (const { x } of places) {
    ctx.moveTo(Math.round(x) + 0.5, top);
    ctx.lineTo(Math.round(x) + 0.5, top + height);
  }
  ctx.stroke();
  ctx.globalAlpha = 1;
  if (numbered) {
    ctx.font = view.font(ratio);
    ctx.textAlign = "center";
    ctx.textBaseline = "bottom";
    for (const { text, x } of grouped(places, 14 * ratio)) ctx.fillText(text, Math.min(x, left + width - 4 * ratio), top - ratio);
  }
  ctx.restore();
}

// Numbers nearer to each other than `room` are one text.
export function grouped(places, room) {
  const groups = [];
  for (const { number, x } of places) {
    const last = groups.at(-1);
    if (last && x - last.x < room * (last.first === last.number ? 1 : 1.8)) Object.assign(last, { number });
    else groups.push({ first: number, number, x });
  }
  return groups.map(({ first, number, x }) => ({ text: first === number ? `${number}` : `${first}–${number}`, x }));
}

// A text is laid out again only where it is another one.
function write(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

// A legend's entry: a sample of the line, its name and a value.
function entry(line, legend) {
  const box = element("span", "trpolab-plot-entry", "", legend);
  const sample = box.appendChild(document.createElementNS(SVG, "svg"));
  sample.setAttribute("width", 18);
  sample.setAttribute("height", 8);
  sample.setAttribute("aria-hidden", "true");
  sample.style.stroke = sample.style.fill = `var(--trpolab-${line.color})`;
  const shape = sample.appendChild(document.createElementNS(SVG, line.mode === "markers" ? "circle" : "line"));
  const about = line.mode === "markers"
    ? { cx: 9, cy: 4, r: 2.5 }
    : { x1: 0, y1: 4, x2: 18, y2: 4, "stroke-width": 2, "stroke-dasharray": DASHES[line.dash].join(" ") };
  for (const [name, value] of Object.entries(about)) shape.setAttribute(name, value);
  element("span", "", line.name, box);
  return { box, value: element("b", "", "", box) };
}
