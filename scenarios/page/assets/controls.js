// Controls: each sends to the run what `swarmbed netem` sends, too, and says what came of it.

import { post } from "./api.js";

const $ = (id) => document.getElementById(id);

// Put an option's value into a tc line, where it stands or at the end.
export function withOption(line, option, value) {
  const known = new RegExp(`\\b${option}( random)? [\\d.]+(%|ms|us|s)`);
  if (known.test(line)) return line.replace(known, `${option}$1 ${value}`);
  return `${line} ${option} ${value}`.trim();
}

const NEED_CHOICE = new Set(["partition", "hold", "crash", "restart", "pause", "resume"]);
const GROUPS = new Set(["partition", "hold"]);

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
    this.chosen([]);
    $("controls").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send({ do: "set", line: $("tc").value.trim() || "none", ...this.#links() });
    });
    for (const button of $("controls").querySelectorAll("[data-do]"))
      button.addEventListener("click", () => this.#act(button.dataset.do));
    if (!token) this.close("Nothing to control: the run is over, or simulated.");
  }

  chosen(names) {
    $("scope").textContent = names.length ? `chosen: ${names.join(", ")}` : "All links; or click nodes on the map to choose them.";
    for (const button of $("controls").querySelectorAll("[data-do]"))
      button.disabled = this.closed || (NEED_CHOICE.has(button.dataset.do) && !names.length);
  }

  close(why) {
    this.closed = true;
    for (const element of $("controls").querySelectorAll("input, button")) element.disabled = true;
    $("scope").textContent = why;
    $("answer").textContent = "";
  }

  #slid(option, value) {
    $("tc").value = withOption($("tc").value, option, value);
    this.#label();
  }

  #label() {
    $("loss-text").textContent = `${$("loss").value} %`;
    $("delay-text").textContent = `${$("delay").value} ms`;
  }

  // Links to and from the chosen nodes, or all.
  #links() {
    return this.map.chosen.size ? { source: [...this.map.chosen], both_ways: true } : {};
  }

  #half() {
    const nodes = (this.map.nodes?.names ?? []).slice(1); // the tracker stays with the first half
    return nodes.slice(Math.ceil(nodes.length / 2));
  }

  #act(what) {
    const chosen = [...this.map.chosen];
    if (what === "halves") this.#send({ do: "partition", group: this.#half() });
    else if (what === "clear") this.#send({ do: what, ...this.#links() });
    else if (GROUPS.has(what)) this.#send({ do: what, group: chosen });
    else if (NEED_CHOICE.has(what)) this.#send({ do: what, hosts: chosen });
    else this.#send({ do: what });
  }

  async #send(control) {
    try {
      const { done } = await post("/page/control", control, this.token);
      this.#say(done.join("; "), false);
      this.onDone();
    } catch (fault) {
      this.#say(fault.message, true);
    }
  }

  #say(text, bad) {
    $("answer").className = bad ? "bad" : "faint";
    $("answer").textContent = text;
    $("answer").title = text;
  }
}
