// The dashboards that `python -m grafana` makes, drawn here: tabs, variables, and those panels that are in sight.

import { labelValues, Unanswered } from "./api.js";
import { clear, renderers } from "./panels.js";
import { Samples, timesOf } from "./samples.js";

const WINDOWS = [["whole run", Infinity], ["last minute", 60], ["last 5 minutes", 300], ["last 15 minutes", 900]];
const ALL = "$__all";

const $ = (id) => document.getElementById(id);
const escaped = (text) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\\\$&");

export class Boards {
  #samples = new Samples();
  #panels = []; // { panel, body, seen }
  #values = new Map(); // of variables: those there are, and the chosen one
  #windowS = Infinity;
  #observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const panel = this.#panels.find(({ box }) => box === target);
      if (panel) panel.seen = isIntersecting;
    }
    this.refresh();
  });

  constructor(boards, facts) {
    const order = ["overview", "network", "market", "bank", "health"];
    const place = ({ uid }) => order.findIndex((name) => uid.endsWith(name));
    this.boards = [...boards].sort((one, other) => place(one) - place(other));
    this.facts = facts;
    for (const board of this.boards) {
      const tab = Object.assign(document.createElement("button"), { textContent: board.title.replace(/^swarmbed \/ /, "") });
      tab.setAttribute("role", "tab");
      tab.addEventListener("click", () => this.show(board));
      $("tabs").append(tab);
    }
    this.show(this.boards[0]);
  }

  show(board) {
    this.board = board;
    [...$("tabs").children].forEach((tab, number) => tab.setAttribute("aria-selected", this.boards[number] === board));
    this.#observer.disconnect();
    for (const { body } of this.#panels) clear(body);
    this.#panels = board.panels.map((panel) => this.#framed(panel));
    $("panels").replaceChildren(...this.#panels.map(({ box }) => box));
    for (const { box } of this.#panels) this.#observer.observe(box);
    this.#offer();
    this.refresh();
  }

  choose(name, value) {
    const variable = this.#values.get(name);
    if (value !== ALL && !variable?.found.includes(value)) return;
    variable.chosen = value;
    this.#offer();
    this.refresh();
  }

  // Show what there is now; while that is under way already, once more after it.
  async refresh(state = this.state) {
    this.state = state;
    this.wanted = true;
    if (this.busy || !state || state.bounds_ms[1] < state.bounds_ms[0]) return;
    this.busy = true;
    try {
      while (this.wanted) {
        this.wanted = false;
        await this.#refresh();
      }
    } catch (fault) {
      if (!(fault instanceof Unanswered)) console.error(fault); // else whoever asks for the state tells of it
    } finally {
      this.busy = false;
    }
  }

  async #refresh() {
    const times = timesOf(this.state.bounds_ms, this.#windowS, this.state.sample_s, this.state.ended);
    await this.#lookUp();
    const board = this.board;
    const panels = this.#panels.filter(({ seen }) => seen);
    const mark = board.annotations.list[0];
    const marks = this.#concrete(mark.expr, times);
    const queries = [marks];
    const instant = [];
    for (const { panel } of panels)
      for (const target of panel.targets) (target.instant ? instant : queries).push(this.#concrete(target.expr, times));
    const found = await this.#samples.update(queries, instant, times);
    if (board !== this.board) return; // another tab was opened meanwhile
    const drawn = { times, started: this.facts.started_s * 1000, marks: this.#marks(marks, times) };
    for (const { panel, body } of panels) {
      const targets = panel.targets.map((target) => {
        const query = this.#concrete(target.expr, times);
        return { target, series: this.#samples.of(query, times.start), vector: found.instant.get(query) ?? [], error: found.errors.get(query) };
      });
      renderers[panel.type](panel, body, { ...drawn, targets, error: targets.find(({ error }) => error)?.error });
      await new Promise(requestAnimationFrame); // no long task: the browser stays smooth
    }
    this.turns = (this.turns ?? 0) + 1;
  }

  // Faults are told by gauges of their times, in ms: each value is one mark.
  #marks(query, times) {
    const marks = [];
    for (const { metric, values } of this.#samples.of(query, times.start))
      for (const time of new Set(values))
        if (time !== null && time >= times.start) marks.push({ at: time / 1000 - this.facts.started_s, text: metric.kind });
    return marks;
  }

  #framed(panel) {
    const box = document.createElement("section");
    box.className = `panel ${panel.type}`;
    box.title = panel.description;
    const { x, y, w, h } = panel.gridPos;
    box.style.gridColumn = `${x + 1} / span ${w}`;
    box.style.gridRow = `${y + 1} / span ${h}`;
    const body = Object.assign(document.createElement("div"), { className: "body" });
    box.append(Object.assign(document.createElement("h3"), { textContent: panel.title }), body);
    return { panel, box, body, seen: false };
  }

  // -- variables ------------------------------------------------------------------------------------------------------

  #concrete(expr, times) {
    const sample = this.state.sample_s;
    const rate = Math.ceil(Math.max(times.step / 1000 + sample, 4 * sample));
    let range = 60; // grows by doubling, so that past values stay
    while (range * 1000 < times.end - times.start) range *= 2;
    const macros = { __rate_interval: `${rate}s`, __range: `${range}s`, __interval: `${times.step / 1000}s` };
    return expr.replace(/\$(\w+)/g, (text, name) => macros[name] ?? this.#substitute(name) ?? text);
  }

  #substitute(name) {
    const variable = this.#values.get(name);
    if (!variable) return undefined;
    if (variable.chosen !== ALL) return escaped(variable.chosen);
    return variable.spec.allValue ?? variable.found.map(escaped).join("|");
  }

  // Ask which values the variables may take; those that depend on others come after them.
  async #lookUp() {
    let changed = false;
    for (const spec of this.board.templating.list) {
      if (spec.type !== "query") continue;
      const variable = this.#values.get(spec.name) ?? { found: [], chosen: spec.includeAll ? ALL : "" };
      if (this.#values.has(spec.name) && variable.found.length && variable.at === this.board && !this.#mayGrow(variable)) continue;
      const [, selector, label] = spec.query.query.match(/^label_values\((.+), (\w+)\)$/);
      this.#values.set(spec.name, { ...variable, spec });
      const found = await labelValues(this.#concrete(selector, { step: 1000, start: 0, end: 0 }), label);
      changed ||= found.join() !== variable.found.join();
      const chosen = variable.chosen || found[0] || "";
      this.#values.set(spec.name, { spec, found, chosen, at: this.board, asked: Date.now() });
    }
    if (changed) this.#offer();
  }

  #mayGrow(variable) {
    return Date.now() - variable.asked > 10000;
  }

  #offer() {
    const used = JSON.stringify(this.board.panels);
    const offered = [];
    for (const [name, { spec, found, chosen }] of this.#values) {
      if (spec.hide || !used.includes(`$${name}`) || (spec.includeAll && found.length < 2)) continue;
      const options = [...(spec.includeAll ? [["All", ALL]] : []), ...found.map((value) => [value, value])];
      offered.push(this.#select(spec.label, options, chosen, (value) => this.choose(name, value)));
    }
    const windows = WINDOWS.map(([text], number) => [text, String(number)]);
    const current = String(WINDOWS.findIndex(([, lengthS]) => lengthS === this.#windowS));
    offered.push(
      this.#select("Time", windows, current, (number) => {
        this.#windowS = WINDOWS[Number(number)][1];
        this.refresh();
      }),
    );
    $("variables").replaceChildren(...offered);
  }

  #select(label, options, chosen, onChange) {
    const box = Object.assign(document.createElement("label"), { textContent: `${label} ` });
    const select = document.createElement("select");
    select.append(...options.map(([text, value]) => new Option(text, value, false, value === chosen)));
    select.addEventListener("change", () => onChange(select.value));
    box.append(select);
    return box;
  }
}
