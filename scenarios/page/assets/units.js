// Numbers as people read them, by Grafana's ids of units. What is not known is shown plainly, with its id.

const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];

export const units = {
  short: { suffix: "", scaled: "large" },
  percentunit: { suffix: "%", percent: true },
  s: { suffix: "s", scaled: "small" },
  bytes: { suffix: "B", scaled: "large" },
  Bps: { suffix: "B/s", scaled: "large" },
  ops: { suffix: "/s", scaled: "large" },
  pps: { suffix: "packets/s", scaled: "large" },
  reqps: { suffix: "requests/s", scaled: "large" },
};

export function digits(value) {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Number(value.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 });
}

export function shown(value, id) {
  const unit = units[id] ?? { suffix: id, scaled: "" };
  if (unit.percent) return `${Number((value * 100).toPrecision(3)).toLocaleString("en")} %`;
  const size = Math.abs(value);
  const wanted = PREFIXES.filter(([factor]) => (unit.scaled === "large" ? factor >= 1 : unit.scaled === "small" ? factor <= 1 : factor === 1));
  const found = size === 0 ? [1, ""] : wanted.find(([factor]) => size >= factor) ?? wanted.at(-1);
  const number = Number((value / found[0]).toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 3 });
  const suffix = found[1] + unit.suffix;
  return suffix ? `${number} ${suffix}` : number;
}

// The axis of a chart up to a value: plotly's tick format and what follows the number.
export function axis(id, largest) {
  const unit = units[id] ?? { suffix: id };
  if (unit.percent) return { tickformat: "~p", ticksuffix: "" };
  const ticksuffix = unit.suffix && unit.suffix.length < 4 ? unit.suffix : "";
  return { tickformat: unit.scaled === "large" && largest < 10 ? "~g" : "~s", ticksuffix };
}

// A point under the mouse: formatted by plotly when it is shown, since to make a text for every point beforehand is slow.
export function hover(id) {
  const unit = units[id] ?? { suffix: ` ${id}` };
  return unit.percent ? "%{y:.3~p}" : `%{y:.4~s}${unit.suffix}`;
}
