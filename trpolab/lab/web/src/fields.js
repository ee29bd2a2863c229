// Smooth functions that are known at a few points: between the points, and where they take a value.

// f(x) through the points (xs, ys): the cubic through the four nearest ones.
export function curve(xs, ys) {
  return (x) => {
    const first = Math.max(0, Math.min(xs.length - 4, xs.findIndex((at) => at > x) - 2));
    const from = xs.at(-1) <= x ? Math.max(0, xs.length - 4) : first;
    return through(xs.slice(from, from + 4), ys.slice(from, from + 4), x);
  };
}

function through(xs, ys, x) {
  const exact = xs.indexOf(x);
  if (exact >= 0) return ys[exact];
  let sum = 0;
  for (let i = 0; i < xs.length; i++) {
    let share = ys[i] ?? NaN;
    for (let j = 0; j < xs.length; j++) if (j !== i) share *= (x - xs[j]) / (xs[i] - xs[j]);
    sum += share;
  }
  return sum;
}

// Rows of values on evenly spaced points, as a finer grid with `parts` parts between two of them.
export class Field {
  constructor(rows, parts) {
    const along = (line) => refined(line, parts);
    const wide = rows.map(along);
    const columns = wide[0].map((_, column) => along(wide.map((row) => row[column])));
    this.width = columns.length;
    this.height = columns[0].length;
    this.columns = columns;
  }

  at(column, row) {
    return this.columns[column][row];
  }

  // The value at a place, counted in parts from 0 to 1 of the width and the height.
  value(u, v) {
    const x = Math.max(0, Math.min(this.width - 1, u * (this.width - 1)));
    const y = Math.max(0, Math.min(this.height - 1, v * (this.height - 1)));
    const [i, j] = [Math.min(this.width - 2, Math.floor(x)), Math.min(this.height - 2, Math.floor(y))];
    const [p, q] = [x - i, y - j];
    return (1 - p) * ((1 - q) * this.at(i, j) + q * this.at(i, j + 1)) + p * ((1 - q) * this.at(i + 1, j) + q * this.at(i + 1, j + 1));
  }

  extent() {
    const known = this.columns.flat().filter(Number.isFinite);
    return known.length ? [Math.min(...known), Math.max(...known)] : [0, 0];
  }

  // Pieces [u, v, u, v] of the line on which the field has this value: marching squares.
  line(level) {
    const pieces = [];
    for (let i = 0; i + 1 < this.width; i++) {
      for (let j = 0; j + 1 < this.height; j++) this.cell(i, j, level, pieces);
    }
    return pieces;
  }

  cell(i, j, level, pieces) {
    const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]];
    const heights = corners.map(([x, y]) => this.at(x, y) - level);
    if (!heights.every(Number.isFinite)) return;
    const cuts = [];
    for (let k = 0; k < 4; k++) {
      const [a, b] = [heights[k], heights[(k + 1) % 4]];
      if (a > 0 === b > 0) continue;
      const [[x, y], [towardsX, towardsY]] = [corners[k], corners[(k + 1) % 4]];
      const part = a / (a - b);
      cuts.push((x + part * (towardsX - x)) / (this.width - 1), (y + part * (towardsY - y)) / (this.height - 1));
    }
    for (let k = 0; k + 3 < cuts.length; k += 4) pieces.push(cuts.slice(k, k + 4));
  }
}

function refined(line, parts) {
  const places = line.map((_, place) => place);
  const at = curve(places, line);
  return Array.from({ length: (line.length - 1) * parts + 1 }, (_, k) => at(k / parts));
}
