// Numbers as text, and elements without markup.

const PREFIXES = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];
const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

// Three digits, if no other number of them is asked for: 0.0187, 483, 24.5k, 3.1·10⁻⁶.
export function short(value, digits = 3) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  for (const [unit, prefix] of PREFIXES) {
    if (size >= unit * (unit === 1e3 ? 10 : 1)) return `${trimmed((value / unit).toPrecision(3))}${prefix}`;
  }
  if (size !== 0 && size < 1e-3) {
    const power = Math.floor(Math.log10(size));
    return `${trimmed((value / 10 ** power).toPrecision(2))}·${tenTo(power)}`.replace("-", "−");
  }
  return String(size >= 1000 ? Math.round(value) : Number(value.toPrecision(digits))).replace("-", "−");
}

export function tenTo(power) {
  return `10${String(power).replace(/./g, (sign) => RAISED[sign])}`;
}

// The labels of an axis, all with as many digits as their distance asks for.
export function ticks(splits) {
  const known = splits.filter((split) => split !== null);
  const step = known.length > 1 ? Math.abs(known[1] - known[0]) : Math.abs(known[0] ?? 1);
  const most = Math.max(...known.map(Math.abs));
  const [unit, prefix] = PREFIXES.find(([size]) => most >= size * (size === 1e3 ? 10 : 1)) ?? [1, ""];
  let digits = 0;
  while (digits < 8 && Math.abs((step / unit) * 10 ** digits - Math.round((step / unit) * 10 ** digits)) > 1e-6) digits++;
  return splits.map((split) => {
    if (split === null) return "";
    if (split !== 0 && most < 1e-3) return short(split);
    if (split === 0) return "0";
    return `${(split / unit).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })}${prefix}`.replace("-", "−");
  });
}

export function element(name, className, text = "", parent = null) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  parent?.appendChild(made);
  return made;
}

function trimmed(text) {
  return text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : text;
}
