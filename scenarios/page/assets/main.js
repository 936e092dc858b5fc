// The page of one run: asks for its state every second and shows it, until the run has ended.

import { get, Unanswered } from "./api.js";
import { Boards } from "./boards.js";
import { drawClaims } from "./claims.js";
import { Controls } from "./controls.js";
import { NetworkMap } from "./network.js";

const TURN_MS = 1000;
const PANEL_TURNS = 2; // panels are drawn every other turn: the run pays for their queries
const HURRY_TURNS = 6; // every turn after a person did something
const PATIENCE = 6; // failures after which nobody is asked any more
const A_DAY_S = 86400;
const MOST_EVENTS = 120;
const MOST_REASONS = 2;
const LIGHTS = { waiting: "fidelity: not judged yet", green: "fidelity: valid", amber: "fidelity: near its limits", void: "fidelity: VOID" };

const $ = (id) => document.getElementById(id);

class Page {
  #lastEvent = 0;
  #failures = 0;
  #turns = -1;
  #hurry = 0;

  constructor(facts) {
    this.facts = facts;
    document.title = `${facts.scenario} · swarmbed`;
    $("scenario").textContent = facts.scenario;
    $("question").textContent = facts.question;
    const time = facts.time === "virtual" ? "simulated time" : "real sockets";
    $("facts").textContent = `${facts.params.nodes} nodes · ${facts.link} · seed ${facts.seed} · ${time}`;
    $("facts").title = facts.run;
    this.map = new NetworkMap($("map"), (names) => this.controls.chosen(names));
    this.controls = new Controls(this.map, facts, () => {
      this.#hurry = HURRY_TURNS;
    });
    this.boards = new Boards(facts.boards, facts);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.map.draw();
      this.boards.refresh();
    });
    addEventListener("resize", () => this.boards.refresh());
  }

  async run() {
    while (!this.ended && this.#failures < PATIENCE) {
      await this.turn();
      await new Promise((resolve) => setTimeout(resolve, TURN_MS * 2 ** this.#failures));
    }
  }

  async turn() {
    try {
      const state = await get(`/page/state?after=${this.#lastEvent}`);
      this.#failures = 0;
      this.show(state);
    } catch (fault) {
      if (!(fault instanceof Unanswered)) throw fault;
      this.#failures += 1;
      this.trouble(this.#failures < PATIENCE ? "The run does not answer; trying again." : "The run has ended: this is the last that it told.");
      if (this.#failures === PATIENCE) this.#close("The run has ended.");
    }
  }

  show(state) {
    const { nodes } = state;
    this.state = state;
    $("trouble").hidden = true;
    this.#progress(state);
    $("light").className = `pill ${state.light}`;
    $("light").textContent = LIGHTS[state.light];
    this.#reasons(state.reasons);
    this.#claims(state);
    this.#events(state.events);
    this.map.show(nodes);
    $("links").textContent = nodes.links === undefined ? "" : `${nodes.names.length - 1} nodes, ${nodes.links} links in use`;
    this.#turns += 1;
    this.#hurry -= 1;
    if (this.#turns % PANEL_TURNS === 0 || this.#hurry > 0 || state.ended) this.boards.refresh(state);
    if (state.ended) {
      this.ended = true;
      this.#close("The run has ended: this is its final state.");
    }
  }

  #reasons(reasons) {
    const more = reasons.length - MOST_REASONS;
    const told = more > 0 ? [...reasons.slice(0, MOST_REASONS), `and ${more} more`] : reasons;
    $("reasons").replaceChildren(...told.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
    $("reasons").title = reasons.join("\n");
  }

  trouble(text) {
    $("trouble").hidden = false;
    $("trouble").textContent = text;
  }

  #close(why) {
    this.controls.close(why);
    $("phase").textContent = why;
  }

  #progress({ phase, show_s: showS, at_s: atS }) {
    const { duration_s: durationS } = this.facts;
    const doneS = Math.min(showS ?? 0, durationS);
    $("bar").style.width = `${phase === "ended" ? 100 : (100 * doneS) / durationS}%`;
    const until = durationS < A_DAY_S ? ` of ${durationS}` : ""; // `swarmbed up` goes on until somebody ends it
    const texts = { preparing: `preparing, ${atS.toFixed(0)} s`, running: `running, ${doneS.toFixed(0)}${until} s`, settling: "settling", ended: "ended" };
    $("phase").textContent = texts[phase];
  }

  #claims({ claims, ended, note, invariants }) {
    drawClaims($("claims").tBodies[0], claims, ended, (name) => this.boards.choose("claim", name));
    $("note").textContent = note || (ended ? "" : "Judged on the run so far; the verdict that counts is the one at the end.");
    const held = claims.filter(({ ok }) => ok).length;
    const judged = claims.filter(({ ok }) => ok !== null).length;
    const failed = judged - held;
    const pill = $("verdict");
    if (!claims.length) [pill.className, pill.textContent] = ["pill waiting", "claims: not judged yet"];
    else if (!ended) [pill.className, pill.textContent] = [failed ? "pill waiting" : "pill green", `claims: ${held} of ${judged} hold so far`];
    else [pill.className, pill.textContent] = [failed ? "pill red" : "pill green", failed ? `claims: ${failed} of ${judged} FAIL` : `claims: all ${judged} hold`];
    if (invariants) $("note").textContent = `Invariants of the bank: ${Object.entries(invariants).map(([name, ok]) => `${name} ${ok ? "holds" : "is VIOLATED"}`).join(", ")}.`;
  }

  #events(events) {
    for (const { number, at_s: atS, kind, text } of events) {
      this.#lastEvent = number;
      const line = document.createElement("li");
      line.className = kind;
      line.append(
        Object.assign(document.createElement("time"), { textContent: `${atS.toFixed(1)} s` }),
        Object.assign(document.createElement("span"), { textContent: text }),
      );
      $("events").prepend(line);
    }
    while ($("events").children.length > MOST_EVENTS) $("events").lastChild.remove();
  }
}

const page = new Page(await get("/page/facts"));
document.querySelector("script[src='/page/plotly.js']").addEventListener("load", () => page.boards.refresh());
window.swarmbed = page; // for whoever looks at it from the console
await page.run();
