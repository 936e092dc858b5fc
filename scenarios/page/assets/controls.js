// Controls: each sends one action to the run, and says what came of it.

import { post } from "./api.js";

const $ = (id) => document.getElementById(id);

// Put an option's value into a tc line, where it stands or at the end.
export function withOption(line, option, value) {
  const known = new RegExp(`\\b${option}( random)? [\\d.]+(%|ms|us|s)`);
  if (known.test(line)) return line.replace(known, `${option}$1 ${value}`);
  return `${line} ${option} ${value}`.trim();
}

export class Controls {
  constructor(map, { token, link }, onDone) {
    this.map = map;
    this.onDone = onDone;
    this.token = token;
    $("tc").value = link === "no impairment" ? "" : link;
    $("loss").value = Number(/\bloss(?: random)? ([\d.]+)%/.exec(link)?.[1] ?? 0);
    const [, delay, unit] = /\bdelay ([\d.]+)(us|ms|s)/.exec(link) ?? [0, 0, "ms"];
    $("delay").value = Number(delay) * { us: 0.001, ms: 1, s: 1000 }[unit];
    $("loss").addEventListener("input", () => this.#slid("loss", `${$("loss").value}%`));
    $("delay").addEventListener("input", () => this.#slid("delay", `${$("delay").value}ms`));
    this.#label();
    $("controls").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#act({ action: "impair", tc: $("tc").value });
    });
    $("cut").addEventListener("click", () => this.#toChosen((nodes) => this.#act({ action: "cut", nodes })));
    for (const action of ["crash", "restart"])
      $(action).addEventListener("click", () => this.#toChosen((nodes) => nodes.forEach((node) => this.#act({ action, node }))));
    $("halves").addEventListener("click", () => this.#act({ action: "cut", nodes: this.#half() }));
    $("heal").addEventListener("click", () => this.#act({ action: "heal" }));
    if (!token) this.close("Nothing to control: the run is over, or simulated.");
  }

  chosen(names) {
    $("answer").className = "faint";
    $("answer").textContent = names.length ? `chosen: ${names.join(", ")}` : "Click nodes of the map to choose them.";
  }

  close(why) {
    for (const element of $("controls").querySelectorAll("input, button")) element.disabled = true;
    $("answer").textContent = why;
  }

  #slid(option, value) {
    $("tc").value = withOption($("tc").value, option, value);
    this.#label();
  }

  #label() {
    $("loss-text").textContent = `${$("loss").value} %`;
    $("delay-text").textContent = `${$("delay").value} ms`;
  }

  #half() {
    const nodes = (this.map.nodes?.names ?? []).slice(1); // the tracker stays with the first half
    return nodes.slice(Math.ceil(nodes.length / 2));
  }

  #toChosen(act) {
    if (this.map.chosen.size) act([...this.map.chosen]);
    else this.#say("Choose nodes of the map first.", true);
  }

  async #act(action) {
    try {
      const { done } = await post("/page/control", action, this.token);
      this.#say(done, false);
      this.onDone();
    } catch (fault) {
      this.#say(fault.message, true);
    }
  }

  #say(text, bad) {
    $("answer").className = bad ? "bad" : "faint";
    $("answer").textContent = text;
  }
}
