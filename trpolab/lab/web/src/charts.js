// The live charts of a run: appends from Python, all charts drawn together, one cursor and one zoom for all.
import sheet from "uplot/dist/uPlot.min.css";
import { Chart } from "./chart.js";
import { floats } from "./channel.js";
import { Columns, lowerBound, nearest, thin } from "./columns.js";
import { labelControls } from "./labels.js";
import { marksList } from "./marks.js";

const ANSWERS = 24; // that Python may send before it hears from the view again: some seconds' worth
const STYLED = 1000; // milliseconds after which the colours are read again: a theme may arrive late
const COLOURS = ["blue", "sky", "green", "orange", "vermilion", "purple", "dim", "rule", "ink"];

document.head.appendChild(document.createElement("style")).textContent = sheet;

class ChartsView {
  constructor({ channel, el, model }) {
    this.channel = channel;
    this.el = el;
    this.marks = [];
    this.run = -1;
    this.columns = new Columns(model.get("columns"));
    this.residuals = new Float32Array(0);
    this.ghosts = [];
    this.range = null; // zoomed to these iterations; null: all
    this.at = null; // the row that is pointed at
    this.scheduled = false;
    this.left = 0; // answers that Python may still send
    this.redraws = 0;
    this.list = marksList((iteration) => this.pointAt(nearest(this.columns.get("iteration"), iteration)));
    this.charts = model.get("charts").map((about) => new Chart(about, this));
    this.seen = new Set(); // charts that are on the screen
    this.sight = new IntersectionObserver((changes) => this.look(changes));
    this.size = new ResizeObserver((changes) => this.fit(changes));
    el.classList.add("trpolab-charts");
    for (const chart of this.charts) {
      el.appendChild(chart.card);
      this.sight.observe(chart.card);
      this.size.observe(chart.canvas);
      chart.card.addEventListener("keydown", (event) => this.key(event));
    }
    el.appendChild(this.list.element);
    this.theme = new MutationObserver(() => this.restyle());
    this.theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
    channel.on("rows", (content, buffers) => this.receive(content, buffers));
    this.ask();
  }

  // ---- what comes from Python ----

  // After each redraw. Half of the answers asked for are taken before it asks for more.
  ask() {
    if (this.left > ANSWERS / 2) return;
    if (this.run < 0) this.channel.ask("rows", { run: this.run, rows: 0 }, ANSWERS);
    else this.channel.more("rows", ANSWERS);
    this.left = ANSWERS;
  }

  receive({ run, rows, marks, ghosts, whole }, [added, residuals, ...old]) {
    this.left -= 1;
    if (whole) {
      Object.assign(this, { run, marks: [], at: null, range: null });
      this.columns = new Columns(this.columns.names);
      this.list.clear();
      this.ghosts = Array.from({ length: ghosts }, (_, k) => ({ x: floats(old[2 * k]), y: floats(old[2 * k + 1]) }));
    }
    this.columns.append(floats(added), rows);
    this.residuals = floats(residuals);
    this.marks.push(...marks);
    this.list.add(marks);
    this.schedule();
  }

  // ---- drawing: once a frame, only what is on the screen, and the next rows are asked for after it ----

  look(changes) {
    this.unlabel ??= labelControls(this.el.closest(".trpolab") ?? this.el); // now the view stands in the page
    for (const { target, isIntersecting } of changes) {
      const chart = this.charts.find(({ card }) => card === target);
      this.seen[isIntersecting ? "add" : "delete"](chart);
    }
    if (this.seen.size) this.schedule();
  }

  schedule() {
    if (this.scheduled || !this.seen.size) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      if (this.closed || !this.seen.size) return;
      this.redraw();
      if (this.run >= 0) this.ask();
    });
  }

  // Sizes and colours are read before anything is written: otherwise the page is laid out again for every chart.
  fit(changes) {
    for (const { target, contentRect: { width, height } } of changes) {
      Object.assign(this.charts.find(({ canvas }) => canvas === target), { width: Math.round(width), height: Math.round(height) });
    }
    this.restyle();
  }

  restyle() {
    this.style = null;
    this.schedule();
  }

  redraw() {
    const began = performance.now();
    if (!this.style || !(began - this.styled < STYLED)) {
      const style = getComputedStyle(this.charts[0].card), before = this.small;
      this.small = parseFloat(style.getPropertyValue("--trpolab-small"));
      if (this.small !== before) this.charts.forEach((chart) => chart.renew());
      this.style = { family: style.fontFamily };
      for (const name of COLOURS) this.style[name] = style.getPropertyValue(`--trpolab-${name}`);
      this.styled = began;
    }
    const x = this.columns.get("iteration");
    const [from, to] = this.rowsShown(x);
    for (const chart of this.charts) {
      if (chart.about.optional) chart.card.hidden = !chart.about.lines.some(({ metric }) => this.columns.get(metric).some(Number.isFinite));
      if (this.seen.has(chart) && !chart.card.hidden) this.drawOne(chart, x, from, to);
    }
    this.tell();
    this.redraws += 1;
    const took = performance.now() - began;
    Object.assign(this.charts[0].card.dataset, { redraws: this.redraws, rows: x.length, milliseconds: took.toFixed(2) });
  }

  drawOne(chart, x, from, to) {
    const { lines, scale } = chart.about;
    if (lines[0].metric === "residual") {
      const steps = Array.from(this.residuals, (_, k) => k);
      return chart.draw({ x: steps, ys: [Array.from(this.residuals, positive)], bands: null }, [0, Math.max(1, steps.length - 1)]);
    }
    const most = Math.max(60, chart.width >> 1);
    const ghosts = lines.map(({ metric }) => metric.startsWith("ghost"));
    const own = lines.filter((_, place) => !ghosts[place]);
    const columns = own.map(({ metric }) => (scale === "log" ? this.columns.get(metric).map(aboveZero) : this.columns.get(metric)));
    let drawn = thin(x, columns, from, to, most);
    let range = this.range ?? [x[0], x[x.length - 1]];
    const [first] = this.ghosts;
    if (!x.length && ghosts.includes(true) && first) { // a new run: the one before it until there is something to draw
      drawn = thin(first.x, own.map(() => first.y.map(() => NaN)), 0, first.x.length, most);
      range = [first.x[0], first.x.at(-1)];
    } else if (!x.length) range = [0, 1];
    if (range[0] === range[1]) range = [range[0] - 0.5, range[1] + 0.5];
    const ys = [...drawn.ys], bands = drawn.bands && [...drawn.bands];
    chart.draw({
      x: drawn.x,
      ys: lines.map(({ metric }, place) => (ghosts[place] ? drawn.x.map((at) => ghostAt(this.ghosts[metric.slice(5)], at)) : ys.shift())),
      bands: bands && lines.map((_, place) => (ghosts[place] ? null : bands.shift())),
    }, range);
  }

  rowsShown(x) {
    if (!this.range) return [0, x.length];
    const [low, high] = this.range;
    return [Math.max(0, lowerBound(x, low) - 1), Math.min(x.length, lowerBound(x, high) + 1)];
  }

  // ---- reading: the newest values, or those pointed at ----

  tell() {
    const x = this.columns.get("iteration");
    const row = this.at === null ? x.length - 1 : Math.min(this.at, x.length - 1);
    const zoomed = this.range ? " · double click: all" : "";
    for (const chart of this.charts) {
      const residual = chart.about.lines[0].metric === "residual";
      const values = chart.about.lines.map(({ metric, spans }) => {
        if (residual) return this.residuals.at(-1) ?? NaN;
        if (metric.startsWith("ghost")) return ghostAt(this.ghosts[metric.slice(5)], x[row]);
        const column = this.columns.get(metric);
        let known = row; // where a line goes on over gaps, its last value stands
        while (spans && known > 0 && !Number.isFinite(column[known])) known--;
        return known < 0 ? NaN : column[known];
      });
      const iteration = x.length ? x[residual ? x.length - 1 : row].toLocaleString("en") : "";
      chart.tell(values, iteration && `at ${iteration}${residual ? "" : zoomed}`);
      if (!residual) chart.point(this.at === null ? null : x[row]);
    }
  }

  hover(chart, at) {
    if (chart.about.lines[0].metric === "residual") return;
    this.pointAt(at === null ? null : nearest(this.columns.get("iteration"), at));
  }

  pointAt(row) {
    if (row === this.at) return;
    this.at = row === -1 ? null : row;
    this.tell();
  }

  zoom(range) {
    this.range = range && range[1] - range[0] >= 1 ? range : null;
    this.schedule();
  }

  key(event) {
    const last = this.columns.count - 1;
    const row = this.at ?? last;
    const moves = { ArrowLeft: row - 1, ArrowRight: row + 1, Home: 0, End: last, Escape: null };
    if (!(event.key in moves) || last < 0) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Escape") this.zoom(null);
    this.pointAt(moves[event.key] === null ? null : Math.max(0, Math.min(last, moves[event.key])));
  }

  // ---- looks ----

  color(name) {
    return this.style[name];
  }

  font(ratio = 1) {
    return `${ratio * this.small}px ${this.style.family}`;
  }

  close() {
    this.closed = true;
    this.unlabel?.();
    for (const observer of [this.sight, this.size, this.theme]) observer.disconnect();
    this.charts.forEach((chart) => chart.renew());
  }
}

const positive = (value) => (value > 0 ? value : null);
const aboveZero = (value) => (value > 0 ? value : NaN);

function ghostAt(ghost, iteration) {
  if (!ghost) return null;
  const place = lowerBound(ghost.x, iteration);
  return Number.isFinite(ghost.y[place]) ? ghost.y[place] : null;
}

export function renderCharts(context) {
  const view = new ChartsView(context);
  return () => view.close();
}
