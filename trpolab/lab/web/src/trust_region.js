// The trust region of an update: the plane of s and g, L and the KL along the step, and the step's fraction to drag.
import { Field, curve } from "./fields.js";
import { element, short } from "./text.js";
import sheet from "./trust_region.css";
import { clear, drawn, marker, path, Placer } from "./trust_region_marks.js";

const MOST = 1.5; // fractions of the full step
const PARTS = 6; // of which a cell of the plane is drawn
const TEXT = 12; // pixels of a letter where a unit of the drawing is a pixel
const NARROW = 230; // units: a plane less wide has shorter texts
const LEVELS = 9; // about as many lines of equal surrogate
const SKY = [86, 180, 233];
const ORANGE = [230, 159, 0];
const LOOKS = ["square", "diamond", "triangle"]; // of other methods' points
const COLOURS = ["var(--purple)", "var(--orange)", "var(--blue)"];

document.head.appendChild(document.createElement("style")).textContent = sheet;

export function renderTrustRegion({ channel, el }) {
  const view = new TrustRegionView(channel, el);
  return () => view.close();
}

class TrustRegionView {
  constructor(channel, el) {
    this.channel = channel;
    this.state = null;
    this.chosen = null; // the fraction that a person dragged to; null: the one that was taken
    this.held = false; // dragging: a new picture waits
    this.build(el);
    this.size = new ResizeObserver(() => this.draw());
    this.size.observe(this.root);
    channel.on("picture", (state) => this.receive(state));
    channel.ask("picture");
  }

  close() {
    this.size.disconnect();
  }

  build(el) {
    this.root = element("section", "trpolab-trust", "", el);
    this.root.setAttribute("aria-label", "Trust region");
    const head = element("div", "trpolab-trust-head", "", this.root);
    element("b", "", "Trust region", head);
    this.caption = element("span", "", "", head);
    this.note = element("p", "trpolab-trust-note", "", this.root);
    this.body = element("div", "trpolab-trust-body", "", this.root);
    this.body.hidden = true;
    this.plots = element("div", "trpolab-trust-plots", "", this.body);
    const plane = element("div", "trpolab-trust-plane", "", this.plots);
    this.shade = element("canvas", "", "", plane);
    this.plane = drawn(plane, "svg", { role: "img" });
    this.step = drawn(element("div", "trpolab-trust-step", "", this.plots), "svg", { role: "img" });
    const control = element("div", "trpolab-trust-control", "", this.body);
    const label = element("label", "", "fraction", control);
    element("span", "trpolab-trust-wide", "of the step", label);
    this.slider = element("input", "", "", label);
    Object.assign(this.slider, { type: "range", min: 0, max: MOST, step: 0.01 });
    this.number = element("b", "", "", label);
    this.back = element("button", "", "as taken", control);
    this.back.title = "Back to the fraction that the update took";
    this.verdict = element("p", "trpolab-trust-verdict", "", this.body);
    this.table = element("table", "", "", this.body);
    this.slider.addEventListener("input", () => this.choose(Number(this.slider.value)));
    this.back.addEventListener("click", () => this.choose(null));
    this.drags(this.slider, null);
    this.drags(this.step, (x) => this.alongStep?.invert(x));
    this.drags(this.plane, (x) => this.acrossPlane?.x.invert(x));
  }

  // While the pointer is down nothing new is asked for; `fraction` is where it points to, null for the slider's own.
  drags(target, fraction) {
    const move = (event) => {
      if (!this.held || !fraction) return;
      const to = fraction((event.clientX - target.getBoundingClientRect().left) / this.unit);
      if (Number.isFinite(to)) this.choose(Math.max(0, Math.min(MOST, to)));
    };
    target.addEventListener("pointerdown", (event) => {
      this.held = true;
      if (fraction) target.setPointerCapture(event.pointerId);
      move(event);
    });
    target.addEventListener("pointermove", move);
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) target.addEventListener(end, () => this.release());
  }

  release() {
    if (!this.held) return;
    this.held = false;
    if (this.waiting) this.show(this.waiting);
  }

  receive(state) {
    this.channel.ask("picture", { version: state.version });
    if (this.held) this.waiting = state;
    else this.show(state);
  }

  show(state) {
    this.waiting = null;
    this.state = state;
    this.caption.textContent = state.caption ?? "";
    this.note.textContent = state.note ?? "";
    this.note.hidden = !state.note;
    this.body.hidden = Boolean(state.note);
    if (state.note) return;
    this.gain = curve(state.fractions, state.gain);
    this.kl = curve(state.fractions, state.kl);
    this.plots.classList.toggle("trpolab-trust-line", !state.plane);
    this.plane.parentElement.hidden = !state.plane;
    this.fields = state.plane && { gain: new Field(state.plane.gain, PARTS), kl: new Field(state.plane.kl, PARTS) };
    this.draw();
  }

  choose(fraction) {
    this.chosen = fraction;
    this.draw();
  }

  get fraction() {
    return this.chosen ?? this.state.taken ?? 1;
  }

  // What is known at a fraction of the step: at a trial, what the line search itself saw.
  at(fraction) {
    const trial = this.state.trials.find((one) => Math.abs(one.fraction - fraction) < 0.005);
    const at = trial?.fraction ?? fraction;
    return { fraction: at, trial, gain: trial?.gain ?? this.gain(at), kl: trial?.kl ?? this.kl(at) };
  }

  draw() {
    if (!this.state || this.state.note || !this.root.clientWidth) return;
    this.unit = parseFloat(getComputedStyle(this.root).fontSize) / TEXT;
    const here = this.at(this.fraction);
    if (this.state.plane) this.drawPlane(here);
    this.drawStep(here);
    this.tell(here);
  }

  // Where the text is larger, all is; returns the width and height in the units that are drawn in.
  fit(svg) {
    const size = [svg.clientWidth / this.unit, svg.clientHeight / this.unit];
    svg.setAttribute("viewBox", `0 0 ${size.join(" ")}`);
    return size;
  }

  // ---- the plane of s and g ----

  drawPlane(here) {
    const { state, plane: svg } = this;
    const { plane, delta } = state;
    const [width, all] = this.fit(svg), height = all - 14;
    if (width < 60 || height < 60) return;
    const x = scale(plane.x[0], plane.x.at(-1), 1, width - 1);
    const y = scale(plane.y[0], plane.y.at(-1), height - 1, 1);
    this.acrossPlane = { x, y };
    clear(svg);
    this.paint(width * this.unit, height * this.unit);
    const inside = this.clipped(svg, 0, 0, width, height);
    const at = ([u, v, p, q]) => [[u * (width - 2) + 1, height - 1 - v * (height - 2)], [p * (width - 2) + 1, height - 1 - q * (height - 2)]];
    for (const level of levels(this.fields.gain.extent())) {
      path(inside, this.fields.gain.line(level).map(at), { stroke: "var(--ink)", "stroke-opacity": level === 0 ? 0.55 : 0.18 });
    }
    drawn(inside, "path", { d: `M${x(0)} 0V${height}M0 ${y(0)}H${width}`, stroke: "var(--rule)" });
    if (state.model) {
      path(inside, [ellipse(plane.model, delta).map(([a, b]) => [x(a), y(b)])], { stroke: "var(--ink)", "stroke-width": 1.3, "stroke-dasharray": "5 3" });
    }
    const contour = this.fields.kl.line(delta).map(at);
    path(inside, contour, { stroke: "var(--vermilion)", "stroke-width": 2 });
    this.drawPoints(svg, { x, y, width, height, contour }, here);
    const [along, across] = width < NARROW ? ["along s →", "↑ towards g"] : ["along s, in full steps →", "↑ across, towards g"];
    drawn(svg, "text", { x: width, y: height + 11, "text-anchor": "end", class: "dim" }, along);
    drawn(svg, "text", { x: 0, y: height + 11, class: "dim" }, across);
    svg.setAttribute("aria-label", `plane of s and g: the line where ${state.kl_name} is δ = ${short(delta)}, and where steps lead: ${this.spoken(here)}`);
  }

  drawPoints(svg, { x, y, width, height, contour }, here) {
    const { state } = this;
    const placer = new Placer(svg, width, height);
    const inside = ([a, b]) => [Math.max(7, Math.min(width - 7, a)), Math.max(7, Math.min(height - 7, b))];
    const lines = [];
    state.others.forEach((other, place) => {
      const true_ = [x(other.x), y(other.y)];
      const shown = inside(true_);
      const away = shown[0] !== true_[0] || shown[1] !== true_[1];
      lines.push([[x(0), y(0)], shown, COLOURS[place], away ? "2 3" : null]);
      placer.point(shown, away ? "arrow" : LOOKS[place], COLOURS[place], away ? `${other.name}, farther` : other.name, angle(true_, [x(0), y(0)]));
    });
    const full = [x(here.fraction), y(0)];
    lines.push([[x(0), y(0)], full, "var(--green)", null]);
    for (const [from, to, stroke, dash] of lines) {
      drawn(svg, "path", { d: `M${from}L${to}`, stroke, "stroke-width": 2, "stroke-dasharray": dash ?? "none", fill: "none" });
      placer.avoid(between(from, to));
    }
    placer.avoid(contour.map(([from]) => from));
    for (const trial of state.trials) {
      if (!trial.accepted) placer.point([x(trial.fraction), y(0)], "cross", "var(--vermilion)", "");
    }
    placer.point([x(0), y(0)], "dot", "var(--ink)", "θ old");
    placer.point(full, "circle", "var(--green)", width < NARROW ? state.method : `${state.method}, fraction ${short(here.fraction)}`);
    placer.text(extremes(contour.flat()), `${state.kl_name} = δ`, "var(--vermilion)");
    if (state.model) {
      const rim = ellipse(state.plane.model, state.delta).map(([a, b]) => [x(a), y(b)]);
      placer.avoid(rim);
      placer.text(extremes(rim), "its model", "var(--ink)");
    }
    placer.place();
  }

  // The surrogate as a shade: blue where it gains, orange where it loses.
  paint(width, height) {
    const field = this.fields.gain;
    const [low, high] = field.extent();
    const most = Math.max(Math.abs(low), Math.abs(high)) || 1;
    const canvas = this.shade;
    Object.assign(canvas, { width: field.width, height: field.height });
    canvas.style.height = `${height}px`;
    canvas.style.width = `${width}px`;
    const context = canvas.getContext("2d");
    const image = context.createImageData(field.width, field.height);
    for (let column = 0; column < field.width; column++) {
      for (let row = 0; row < field.height; row++) {
        const value = field.at(column, row);
        const strength = Number.isFinite(value) ? Math.round(150 * Math.abs(value / most) ** 0.8) : 0;
        image.data.set([...(value > 0 ? SKY : ORANGE), strength], 4 * ((field.height - 1 - row) * field.width + column));
      }
    }
    context.putImageData(image, 0, 0);
  }

  // ---- along the step ----

  drawStep(here) {
    const { state, step: svg } = this;
    const [width, height] = this.fit(svg);
    clear(svg);
    const x = scale(0, MOST, 34, width - 6);
    this.alongStep = x;
    const half = (height - 14) / 2;
    const steps = Array.from({ length: 76 }, (_, k) => (k * MOST) / 75);
    const gains = steps.map((f) => this.gain(f));
    const kls = steps.map((f) => this.kl(f));
    const shown = [...gains, ...state.trials.map((trial) => trial.gain ?? 0), state.slope, 0].filter(Number.isFinite);
    const highest = Math.max(...shown);
    const gain = scale(Math.max(Math.min(...shown), -1.5 * highest), highest, half - 4, 15);
    this.frame(svg, { x, y: gain, top: 0, bottom: half, width, title: "surrogate gain" });
    const upper = this.clipped(svg, x(0), 14, width, half - 14);
    path(upper, [steps.map((f) => [x(f), gain(f * state.slope)])], { stroke: "var(--ink)", "stroke-dasharray": "2 3" });
    path(upper, [steps.map((f, k) => [x(f), gain(gains[k])])], { stroke: "var(--green)", "stroke-width": 2 });
    const seen = [...kls, ...state.trials.map((trial) => trial.kl ?? 0)].filter(Number.isFinite);
    const most = Math.min(Math.max(1.6 * state.delta, ...seen), 5 * state.delta);
    const kl = scale(0, most, height - 15, half + 17);
    this.frame(svg, { x, y: kl, top: half, bottom: height - 11, width, title: state.kl_name, own: kl(state.delta) });
    const lower = this.clipped(svg, x(0), half + 14, width, half - 11);
    if (state.model) {
      path(lower, [steps.map((f) => [x(f), kl((f * f * state.curvature) / 2)])], { stroke: "var(--ink)", "stroke-width": 1.3, "stroke-dasharray": "5 3" });
    }
    path(lower, [steps.map((f, k) => [x(f), kl(kls[k])])], { stroke: "var(--blue)", "stroke-width": 2 });
    path(svg, [[[x(0), kl(state.delta)], [x(MOST), kl(state.delta)]]], { stroke: "var(--vermilion)", "stroke-width": 1.5 });
    drawn(svg, "text", { x: x(0) - 3, y: kl(state.delta) + 3.5, "text-anchor": "end", fill: "var(--vermilion)" }, `δ ${short(state.delta)}`).style.fill = "var(--vermilion)";
    for (const trial of state.trials) {
      const look = trial.accepted ? ["circle", "var(--green)"] : ["cross", "var(--vermilion)"];
      if (trial.gain !== null) marker(svg, [x(trial.fraction), Math.max(Math.min(gain(trial.gain), half - 4), 15)], ...look);
      if (trial.kl !== null) marker(svg, [x(trial.fraction), Math.max(kl(trial.kl), half + 17)], ...look);
    }
    drawn(svg, "path", { d: `M${x(here.fraction)} 14V${height - 14}`, stroke: "var(--ink)", "stroke-opacity": 0.6 });
    if (Number.isFinite(here.gain)) marker(upper, [x(here.fraction), gain(here.gain)], "dot", "var(--ink)");
    if (Number.isFinite(here.kl)) marker(lower, [x(here.fraction), kl(here.kl)], "dot", "var(--ink)");
    for (const f of [0, 0.5, 1]) drawn(svg, "text", { x: x(f), y: height - 2, "text-anchor": "middle", class: "dim" }, String(f));
    if (width - 6 - x(1) > 66) drawn(svg, "text", { x: width - 6, y: height - 2, "text-anchor": "end", class: "dim" }, "fraction →");
    svg.setAttribute("aria-label", `along the step: ${this.spoken(here)}`);
  }

  // A group outside of whose box nothing shows.
  clipped(svg, x, y, width, height) {
    const box = drawn(svg, "svg", { x, y, width: Math.max(0, width - x), height, viewBox: `${x} ${y} ${Math.max(1, width - x)} ${height}` });
    box.classList.add("trpolab-trust-box");
    return box;
  }

  // Axes; `own` is a place on the left that has another label.
  frame(svg, { x, y, top, bottom, width, title, own }) {
    drawn(svg, "text", { x: x(0), y: top + 10, class: "dim" }, title);
    drawn(svg, "path", { d: `M${x(0)} ${y(0)}H${width - 6}`, stroke: "var(--rule)" });
    for (const level of levels([y.invert(bottom - 2), y.invert(top + 14)], 3)) {
      if (y(level) < top + 12 || y(level) > bottom - 2 || Math.abs(y(level) - (own ?? -99)) < 10) continue;
      drawn(svg, "text", { x: x(0) - 3, y: y(level) + 3.5, "text-anchor": "end", class: "dim" }, short(level));
      drawn(svg, "path", { d: `M${x(0)} ${y(level)}H${width - 6}`, stroke: "var(--rule)", "stroke-opacity": 0.5 });
    }
  }

  // ---- numbers ----

  tell(here) {
    const { state } = this;
    this.slider.value = here.fraction;
    this.number.textContent = here.fraction.toFixed(2);
    this.back.disabled = this.chosen === null;
    const [yes, why] = this.chosen === null && state.refused ? [false, `no step was taken: ${state.refused}`] : verdict(state, here);
    const numbers = this.spoken(here);
    this.slider.setAttribute("aria-valuetext", `${here.fraction.toFixed(2)}: ${numbers}; ${why}`);
    this.verdict.replaceChildren(numbers, document.createElement("br"));
    element("em", yes ? "yes" : "no", why, this.verdict);
    clear(this.table);
    state.others.forEach((other, place) => {
      const row = element("tr", "", "", this.table);
      const name = element("th", "", "", row);
      marker(drawn(name, "svg", { viewBox: "-6 -6 12 12", "aria-hidden": "true" }), [0, 0], LOOKS[place], COLOURS[place]);
      name.append(other.name);
      row.title = other.about;
      element("td", "", `gain ${signed(other.gain)}`, row);
      element("td", "", `${state.kl_name.replace("mean ", "")} ${short(other.kl)}`, row);
      element("td", "", other.kl > state.delta ? `${short(other.kl / state.delta)} δ` : "≤ δ", row);
    });
  }

  spoken({ fraction, gain, kl }) {
    const { slope, delta, kl_name } = this.state;
    const sign = kl <= delta ? "≤" : ">";
    return `gain ${signed(gain)} (promised ${signed(slope * fraction)}) · ${kl_name} ${short(kl)} ${sign} δ ${short(delta)}`;
  }
}

function verdict(state, { trial, gain, kl }) {
  const against = [];
  if (!(gain > 0)) against.push("the surrogate does not gain");
  if (!(kl <= state.delta)) against.push(`${state.kl_name} is above δ`);
  if (!state.search) return [true, "the line search is off: the full step is taken as it is"];
  if (trial?.accepted) return [true, "accepted"];
  if (trial) return [false, `tried and refused: ${against.join(", ")}`];
  return against.length ? [false, `would be refused: ${against.join(", ")}`] : [true, "would be accepted"];
}

function signed(value) {
  return value > 0 ? `+${short(value)}` : short(value);
}

function between([x, y], [toX, toY]) {
  const parts = Math.max(1, Math.round(Math.hypot(toX - x, toY - y) / 6));
  return Array.from({ length: parts + 1 }, (_, k) => [x + ((toX - x) * k) / parts, y + ((toY - y) * k) / parts]);
}

// The lowest, highest, leftmost and rightmost of some points, where labels are looked for.
function extremes(points) {
  const orders = [(p) => p[1], (p) => -p[1], (p) => -p[0], (p) => p[0]];
  return points.length ? orders.map((order) => points.reduce((best, one) => (order(one) > order(best) ? one : best))) : [];
}

function angle([x, y], [fromX, fromY]) {
  return (Math.atan2(y - fromY, x - fromX) * 180) / Math.PI;
}

function scale(low, high, from, to) {
  const span = high - low || 1;
  const map = (value) => from + ((value - low) / span) * (to - from);
  map.invert = (place) => low + ((place - from) / (to - from)) * span;
  return map;
}

// The rim of ½(ax² + 2bxy + cy²) = δ.
function ellipse([a, b, c], delta) {
  return Array.from({ length: 121 }, (_, k) => {
    const [x, y] = [Math.cos((k * Math.PI) / 60), Math.sin((k * Math.PI) / 60)];
    const far = Math.sqrt((2 * delta) / Math.max(a * x * x + 2 * b * x * y + c * y * y, 1e-30));
    return [far * x, far * y];
  });
}

// Round numbers in a range.
function levels([low, high], count = LEVELS) {
  const rough = (high - low) / count;
  if (!(rough > 0)) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((part) => part * power).find((part) => part >= rough);
  return Array.from({ length: Math.floor(high / step) - Math.ceil(low / step) + 1 }, (_, k) => {
    const level = (Math.ceil(low / step) + k) * step;
    return Math.abs(level) < step / 1e6 ? 0 : level;
  });
}
