// Draw Grafana's panels: one renderer a panel type. Each gets the panel, its element and its series by query.

import { axis, digits, hover, shown } from "./units.js";

const COLOURS = ["#2563eb", "#ea580c", "#0d9488", "#9333ea", "#ca8a04", "#db2777", "#65a30d", "#0891b2", "#dc2626", "#7c3aed"];
const MOST_IN_LEGEND = 18;

export const renderers = { timeseries, stat, table };

export function legendOf(format, metric) {
  if (format) return format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => metric[label] ?? "");
  return Object.entries(metric).map(([label, value]) => `${label}="${value}"`).join(", ");
}

function colourOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function labelsOf(metric) {
  const { __name__: _, ...labels } = metric;
  return JSON.stringify(labels);
}

function isDashed(panel, target) {
  return panel.fieldConfig.overrides.some(
    ({ matcher, properties }) =>
      matcher.id === "byFrameRefID" && matcher.options === target.refId &&
      properties.some(({ id, value }) => id === "custom.lineStyle" && value.fill === "dash"),
  );
}

export function clear(body) {
  const chart = body.querySelector(".chart");
  if (chart) Plotly.purge(chart);
}

function say(body, text) {
  clear(body);
  body.innerHTML = '<p class="empty"></p>';
  body.firstChild.textContent = text;
}

// `drawn` is { targets: [{ target, series }], times, started, marks, error }.
function timeseries(panel, body, drawn) {
  const colours = new Map();
  const traces = [];
  for (const { target, series } of drawn.targets) {
    const dashed = isDashed(panel, target);
    for (const one of series) {
      // A theory's line has the colour of what it is about, where there are several; else it stands apart.
      const alone = dashed && series.length === 1;
      const key = dashed ? labelsOf(one.metric) : `${target.refId}${labelsOf(one.metric)}`;
      const partner = `${drawn.targets[0].target.refId}${labelsOf(one.metric)}`;
      const known = colours.get(key) ?? (dashed ? colours.get(partner) : undefined);
      const colour = alone ? colourOf("--ink") : known ?? COLOURS[colours.size % COLOURS.length];
      if (!alone) colours.set(key, colour);
      traces.push({
        type: "scatter",
        mode: one.times.length > 1 ? "lines" : "markers",
        name: legendOf(target.legendFormat, one.metric),
        x: one.times.map((time) => (time - drawn.started) / 1000),
        y: one.values,
        line: { width: 2, dash: dashed ? "8px,6px" : "solid", color: colour },
        hovertemplate: hover(panel.fieldConfig.defaults.unit),
      });
    }
  }
  if (!traces.length || !window.Plotly) {
    say(body, drawn.error ?? (traces.length ? "loading" : "no data yet"));
    return;
  }
  let chart = body.querySelector(".chart");
  if (!chart) {
    chart = Object.assign(document.createElement("div"), { className: "chart" });
    body.replaceChildren(chart);
  }
  const lined = { gridcolor: colourOf("--line"), linecolor: colourOf("--line"), zeroline: false, automargin: true };
  const largest = Math.max(...traces.flatMap(({ y }) => y));
  const from = (drawn.times.start - drawn.started) / 1000;
  const layout = {
    margin: { l: 44, r: 8, t: 6, b: 22 },
    height: chart.clientHeight,
    width: chart.clientWidth,
    font: { size: 11, color: colourOf("--faint") },
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    xaxis: { ...lined, range: [from, Math.max((drawn.times.end - drawn.started) / 1000, from + 10)], ticksuffix: " s" },
    yaxis: { ...lined, ...axis(panel.fieldConfig.defaults.unit, largest), rangemode: "tozero" },
    legend: { orientation: "h", y: -0.14, yanchor: "top", font: { size: 11, color: colourOf("--ink") } },
    showlegend: traces.length <= MOST_IN_LEGEND,
    hovermode: "x unified",
    hoverlabel: { bgcolor: colourOf("--card"), font: { color: colourOf("--ink") } },
    shapes: drawn.marks.map(({ at }) => ({
      type: "line", x0: at, x1: at, yref: "paper", y0: 0, y1: 1, line: { color: colourOf("--amber"), width: 1.5, dash: "dot" },
    })),
    annotations: drawn.marks.map(({ at, text }) => ({
      x: at, yref: "paper", y: 1, yanchor: "top", xanchor: "left", text, showarrow: false, textangle: 90, font: { size: 9, color: colourOf("--amber") },
    })),
    uirevision: panel.id,
  };
  Plotly.react(chart, traces, layout, { displayModeBar: false });
}

function lastOf(series) {
  for (let place = series.values.length - 1; place >= 0; place -= 1) if (series.values[place] !== null) return series.values[place];
  return null;
}

function classOf(value, { steps }) {
  if (steps.length < 2) return "";
  const reached = steps.filter((step) => step.value === undefined || step.value === null || value >= step.value);
  return reached.at(-1).color === "red" ? "bad" : "good";
}

function stat(panel, body, drawn) {
  const numbers = drawn.targets.flatMap(({ target, series }) =>
    series.map((one) => [legendOf(target.legendFormat, one.metric), lastOf(one)]).filter(([, value]) => value !== null),
  );
  if (!numbers.length) {
    say(body, drawn.error ?? "no data yet");
    return;
  }
  const { unit, thresholds } = panel.fieldConfig.defaults;
  const box = document.createElement("div");
  box.className = numbers.length > 1 ? "numbers many" : "numbers";
  for (const [name, value] of numbers) {
    const one = document.createElement("div");
    const number = document.createElement("b");
    number.textContent = shown(value, unit);
    number.className = classOf(value, thresholds);
    one.append(number);
    if (panel.options.textMode === "value_and_name") one.append(Object.assign(document.createElement("span"), { textContent: name }));
    box.append(one);
  }
  body.replaceChildren(box);
}

// One row for each set of labels, one column a query: what Grafana's transformations "merge" and "organize" make.
function table(panel, body, drawn) {
  const organize = panel.transformations.find(({ id }) => id === "organize").options;
  const rows = new Map();
  const names = new Set();
  const columns = drawn.targets.map(({ target }) => organize.renameByName[`Value #${target.refId}`] ?? target.refId);
  drawn.targets.forEach(({ vector }, place) => {
    for (const { metric, value } of vector) {
      const labels = Object.entries(metric).filter(([label]) => !organize.excludeByName[label]);
      labels.forEach(([label]) => names.add(label));
      const key = JSON.stringify(labels);
      if (!rows.has(key)) rows.set(key, { labels: Object.fromEntries(labels), values: [] });
      rows.get(key).values[place] = Number(value[1]);
    }
  });
  if (!rows.size) {
    say(body, drawn.error ?? "no data yet");
    return;
  }
  const cell = (tag, text, isText) => Object.assign(document.createElement(tag), { textContent: text, className: isText ? "text" : "" });
  const head = document.createElement("tr");
  head.append(...[...names].map((name) => cell("th", name, true)), ...columns.map((name) => cell("th", name, false)));
  const lines = [...rows.values()].map(({ labels, values }) => {
    const line = document.createElement("tr");
    line.append(...[...names].map((name) => cell("td", labels[name] ?? "", true)));
    line.append(...columns.map((_, place) => cell("td", values[place] === undefined ? "–" : digits(values[place]), false)));
    return line;
  });
  const drawing = document.createElement("table");
  drawing.append(head, ...lines);
  body.replaceChildren(drawing);
}
