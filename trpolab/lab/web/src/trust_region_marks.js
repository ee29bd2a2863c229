// Marks in an SVG, and labels that never lie over one another.
const SVG = "http://www.w3.org/2000/svg";
const SHAPES = {
  dot: "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
  circle: "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0",
  square: "M-4-4H4V4H-4z",
  diamond: "M0-5.5 5.5 0 0 5.5-5.5 0z",
  triangle: "M0-5 5 4H-5z",
  cross: "M-4-4 4 4M4-4-4 4",
  arrow: "M6 0-4-5-1 0-4 5z",
};
const AROUND = [[9, 3.5, "start"], [-9, 3.5, "end"], [0, -9, "middle"], [0, 16, "middle"], [8, -8, "start"], [8, 14, "start"], [-8, -8, "end"], [-8, 14, "end"]];

export function drawn(parent, name, attributes = {}, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return parent.appendChild(made);
}

export function clear(parent) {
  parent.replaceChildren();
}

// Lines through points, all in one path; where a coordinate is no number the line is broken.
export function path(parent, lines, attributes) {
  const far = (value) => Math.max(-1e4, Math.min(1e4, value)).toFixed(1);
  const d = lines.map((points) => {
    let down = false;
    return points.map(([x, y]) => {
      if (!Number.isFinite(x) || !Number.isFinite(y)) return (down = false) || "";
      const command = down ? "L" : "M";
      down = true;
      return `${command}${far(x)} ${far(y)}`;
    }).join("");
  });
  return drawn(parent, "path", { d: d.join(""), fill: "none", ...attributes });
}

export function marker(parent, [x, y], look, colour, turn = 0) {
  const filled = look === "cross" ? "none" : colour;
  const rim = look === "cross" ? { stroke: colour, "stroke-width": 2 } : { stroke: "var(--paper)", "stroke-width": 1 };
  return drawn(parent, "path", { d: SHAPES[look], fill: filled, ...rim, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)}) rotate(${turn.toFixed(0)})` });
}

// Draws points, then writes each label where there is room beside it, or leaves it out: off lines if that can be.
export class Placer {
  constructor(svg, width, height) {
    Object.assign(this, { svg, width, height, taken: [], lines: [], wanted: [] });
  }

  point(at, look, colour, label, turn = 0) {
    marker(this.svg, at, look, colour, look === "arrow" ? turn : 0);
    this.taken.push({ x: at[0] - 6, y: at[1] - 6, width: 12, height: 12 });
    if (label) this.text([at], label, "var(--ink)");
  }

  // A label at one of these places, at the first with room.
  text(places, label, colour) {
    this.wanted.push({ places, label, colour });
  }

  avoid(points) {
    for (const [x, y] of points) this.lines.push({ x: x - 1, y: y - 1, width: 2, height: 2 });
  }

  place() {
    for (const { places, label, colour } of this.wanted) {
      const text = drawn(this.svg, "text", { class: "halo" }, label);
      text.style.fill = colour;
      const size = text.getBBox();
      const tries = places.flatMap((at) => AROUND.map((side) => [at, side]));
      const found = [[...this.taken, ...this.lines], this.taken].some((boxes) => tries.some(([at, side]) => this.fits(text, size, at, side, boxes)));
      if (!found) text.remove();
    }
  }

  fits(text, { width, height }, [x, y], [dx, dy, anchor], boxes) {
    const left = x + dx - { start: 0, middle: width / 2, end: width }[anchor];
    const box = { x: left, y: y + dy - 0.8 * height, width, height };
    if (box.x < 0 || box.y < 0 || box.x + width > this.width || box.y + height > this.height) return false;
    if (boxes.some((other) => overlap(box, other))) return false;
    for (const [name, value] of Object.entries({ x: x + dx, y: y + dy, "text-anchor": anchor })) text.setAttribute(name, value);
    this.taken.push(box);
    return true;
  }
}

function overlap(a, b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}
