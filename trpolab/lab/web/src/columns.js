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

const orGap = (value) => (Number.isNaN(value) ? null : value);

// Rows [from, to) of `x` and of each of `ys` as plain arrays with null for a gap; beyond `most` rows the lowest and the
// highest of each stretch, so that a single iteration that went wrong is seen.
export function thin(x, ys, from, to, most) {
  const rows = to - from;
  if (rows <= most) {
    return [Array.from(x.subarray(from, to)), ...ys.map((y) => Array.from(y.subarray(from, to), orGap))];
  }
  const stretches = most >> 1;
  const bounds = Array.from({ length: stretches + 1 }, (_, k) => from + Math.floor((k * rows) / stretches));
  const thinned = [new Array(2 * stretches), ...ys.map(() => new Array(2 * stretches))];
  for (let k = 0; k < stretches; k++) {
    thinned[0][2 * k] = x[bounds[k]];
    thinned[0][2 * k + 1] = x[bounds[k + 1] - 1];
  }
  ys.forEach((y, place) => {
    const out = thinned[place + 1];
    for (let k = 0; k < stretches; k++) {
      let low = -1, high = -1;
      for (let row = bounds[k]; row < bounds[k + 1]; row++) {
        const value = y[row];
        if (Number.isNaN(value)) continue;
        if (low < 0 || value < y[low]) low = row;
        if (high < 0 || value > y[high]) high = row;
      }
      out[2 * k] = low < 0 ? null : y[Math.min(low, high)];
      out[2 * k + 1] = low < 0 ? null : y[Math.max(low, high)];
    }
  });
  return thinned;
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
