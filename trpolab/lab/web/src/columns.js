// Columns of numbers over the iterations, and thinning that keeps extremes. NaN in a column is a gap.

export class Columns {
  constructor(names) {
    this.names = names;
    this.count = 0;
    this.values = Object.fromEntries(names.map((name) => [name, new Float32Array(256)]));
  }

  // `added`: `rows` numbers of the first column, then of the next one.
  append(added, rows) {
    const total = this.count + rows;
    this.names.forEach((name, place) => {
      let column = this.values[name];
      if (total > column.length) {
        const longer = new Float32Array(Math.max(total, 2 * column.length));
        longer.set(column.subarray(0, this.count));
        this.values[name] = column = longer;
      }
      column.set(added.subarray(place * rows, (place + 1) * rows), this.count);
    });
    this.count = total;
  }

  get(name) {
    return this.values[name].subarray(0, this.count);
  }
}

// The first place in `sorted` that holds `wanted` or more.
export function lowerBound(sorted, wanted) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

// The place in `sorted` whose value is nearest; -1 where there is none.
export function nearest(sorted, wanted) {
  const after = lowerBound(sorted, wanted);
  if (after === 0) return sorted.length - 1 < 0 ? -1 : 0;
  if (after === sorted.length) return after - 1;
  return wanted - sorted[after - 1] <= sorted[after] - wanted ? after - 1 : after;
}

const orGap = (value) => (Number.isFinite(value) ? value : null);

// Rows [from, to) of `x` and of each of `ys` as plain arrays with null for a gap. Beyond `most` rows a stretch of rows
// becomes one: its mean, and in `bands` its lowest and highest, so that a single iteration that went wrong is seen.
export function thin(x, ys, from, to, most) {
  const rows = to - from;
  if (rows <= most) {
    return { x: Array.from(x.subarray(from, to)), ys: ys.map((y) => Array.from(y.subarray(from, to), orGap)), bands: null };
  }
  const bounds = Array.from({ length: most + 1 }, (_, k) => from + Math.floor((k * rows) / most));
  const middle = Array.from({ length: most }, (_, k) => (x[bounds[k]] + x[bounds[k + 1] - 1]) / 2);
  [middle[0], middle[most - 1]] = [x[from], x[to - 1]];
  const bands = ys.map((y) => band(y, bounds));
  return { x: middle, ys: bands.map(({ mean }) => mean), bands };
}

function band(y, bounds) {
  const most = bounds.length - 1;
  const [mean, low, high] = [new Array(most), new Array(most), new Array(most)];
  for (let k = 0; k < most; k++) {
    let least = Infinity, largest = -Infinity, sum = 0, known = 0;
    for (let row = bounds[k]; row < bounds[k + 1]; row++) {
      const value = y[row];
      if (!Number.isFinite(value)) continue;
      if (value < least) least = value;
      if (value > largest) largest = value;
      sum += value;
      known++;
    }
    [mean[k], low[k], high[k]] = known ? [sum / known, least, largest] : [null, null, null];
  }
  return { mean, low, high };
}

// Points that no line leads to or from: they are drawn as dots.
export function alone(values, spansGaps) {
  const found = [];
  let known = 0;
  for (let k = 0; k < values.length; k++) {
    if (values[k] === null) continue;
    known++;
    if ((k === 0 || values[k - 1] === null) && (k === values.length - 1 || values[k + 1] === null)) found.push(k);
  }
  return spansGaps && known > 1 ? [] : found;
}
