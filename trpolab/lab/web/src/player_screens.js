// Screens, and curves where nothing can be drawn.
import { short } from "./text.js";

const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"];
const ENLARGED = 1.5; // from here on pixels keep their edges

export class Screens {
  constructor(panel) {
    this.panel = panel;
    this.canvas = document.createElement("canvas");
    [this.canvas.width, this.canvas.height] = [panel.width, panel.height];
    this.context = this.canvas.getContext("2d");
    this.image = this.context.createImageData(panel.width, panel.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  draw(context, width, height, frame) {
    const { panel, pixels } = this, size = pixels.length;
    const first = Math.max(0, Math.min(Math.round(frame), panel.frames - 1)) * size;
    for (let at = 0; at < size; at++) pixels[at] = panel.colours[panel.screens[first + at]];
    this.context.putImageData(this.image, 0, 0);
    const aspect = panel.aspect ?? panel.width / panel.height;
    const [wide, high] = width / height > aspect ? [height * aspect, height] : [width, width / aspect];
    context.imageSmoothingEnabled = panel.aspect == null && high / panel.height < ENLARGED;
    context.drawImage(this.canvas, (width - wide) / 2, (height - high) / 2, wide, high);
  }

  dispose() {}
}

export class Curves {
  constructor(panel) {
    this.panel = panel;
    this.ranges = panel.names.map((_, n) => rangeOf(column(panel.values, panel.names.length, n)));
  }

  draw(context, width, height, frame, { ink, scale }) {
    const { names, values, frames } = this.panel, row = height / names.length;
    context.font = `${Math.round(11 * scale)}px sans-serif`;
    names.forEach((name, n) => {
      const [low, high] = this.ranges[n];
      const room = row > 30 * scale ? 12 * scale : 0; // for the name above the line
      const y = (value) => (n + 1) * row - 4 - ((value - low) / (high - low || 1)) * (row - 8 - room);
      line(context, frames, width, (at) => y(values[at * names.length + n]), COLOURS[n % COLOURS.length], 1.6 * scale);
      const now = values[Math.min(Math.round(frame), frames - 1) * names.length + n];
      context.fillStyle = ink;
      context.fillText(`${name} ${short(now)}`, 6, n * row + 12 * scale);
    });
    cursor(context, (frame / Math.max(frames - 1, 1)) * width, height, ink);
  }

  dispose() {}
}

// Reward, action and KL under the timeline; of two panels the other one's reward as a dashed line.
export function drawTracks(context, width, height, panel, other, ink, scale) {
  const rows = [["reward", [panel.rewards], "#009E73"]];
  if (panel.actions) {
    const parts = Array.from({ length: panel.actionCount }, (_, n) => column(panel.actions, panel.actionCount, n));
    rows.push(["action", parts, null]);
  }
  if (panel.kl) rows.push(["KL to the policy before", [panel.kl], "#D55E00"]);
  const row = height / rows.length;
  context.font = `${Math.round(10 * scale)}px sans-serif`;
  rows.forEach(([name, parts, colour], place) => {
    const compared = place === 0 && other ? [other.rewards] : [];
    const [low, high] = rangeOf(...parts, ...compared);
    const y = (value) => (place + 1) * row - 2 - ((value - low) / (high - low || 1)) * (row - 4 - 10 * scale);
    compared.forEach((values) => {
      context.setLineDash([4, 3]);
      const share = Math.min(1, (values.length * other.secondsPerFrame * panel.every) / (panel.steps * panel.secondsPerFrame * other.every || 1));
      line(context, values.length, width * share, (at) => y(values[at]), "#8c8c8c", scale);
      context.setLineDash([]);
    });
    parts.forEach((values, n) =>
      line(context, values.length, width, (at) => y(values[at]), colour ?? COLOURS[n % COLOURS.length], 1.3 * scale));
    context.fillStyle = ink;
    context.globalAlpha = 0.75;
    context.fillText(`${name}  ${short(low)} … ${short(high)}`, 2, place * row + 9 * scale);
    context.globalAlpha = 1;
  });
}

function line(context, count, width, y, colour, thick) {
  context.strokeStyle = colour;
  context.lineWidth = thick;
  context.beginPath();
  const every = Math.max(1, Math.floor(count / Math.max(width, 1)));
  for (let at = 0; at < count; at += every) context.lineTo((at / Math.max(count - 1, 1)) * width, y(at));
  context.stroke();
}

export function cursor(context, x, height, ink) {
  context.fillStyle = ink;
  context.fillRect(Math.round(x), 0, 1, height);
}

function column(values, count, n) {
  return Float32Array.from({ length: values.length / count }, (_, at) => values[at * count + n]);
}

function rangeOf(...lists) {
  let low = Infinity, high = -Infinity;
  for (const values of lists) {
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low <= high ? [low, high] : [0, 1];
}
