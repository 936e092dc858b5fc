// The nodes around the tracker with the links between them, on a canvas: a thousand dots cost a millisecond.

const MOST_NAMES = 40;
const ONE_CIRCLE = 60;
const LOSS_FULL = 0.2; // from here on a link has the colour of heavy loss
const CALM = [13, 148, 136];
const LOSSY = [234, 88, 12];
const [CUT, HELD] = [1, 2]; // what a pair's links do, as the run tells it

export class NetworkMap {
  chosen = new Set();

  constructor(canvas, onChosen) {
    this.canvas = canvas;
    this.onChosen = onChosen;
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("mousemove", (event) => this.#hover(event));
    canvas.addEventListener("mouseleave", () => this.#hover(null));
    canvas.addEventListener("click", () => this.#click());
  }

  show(nodes) {
    if (!nodes.names) return;
    this.nodes = nodes;
    this.draw();
  }

  draw() {
    if (!this.nodes) return;
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    this.#place(width, height);
    if (this.nodes.pairs) this.#drawPairs(pen);
    this.#drawNodes(pen);
  }

  // The tracker in the middle; the others on a circle, many on several.
  #place(width, height) {
    const { names } = this.nodes;
    const others = names.length - 1;
    const circles = others <= ONE_CIRCLE ? 1 : Math.ceil(Math.sqrt(others / 30));
    const [wide, high] = [Math.max(10, width / 2 - 62), Math.max(10, height / 2 - 22)];
    const lengths = Array.from({ length: circles }, (_, circle) => (circle + 2) / (circles + 1));
    const total = lengths.reduce((sum, length) => sum + length, 0);
    this.places = [[width / 2, height / 2]];
    let left = others;
    lengths.forEach((length, circle) => {
      const count = circle === circles - 1 ? left : Math.min(left, Math.round((others * length) / total));
      left -= count;
      for (let place = 0; place < count; place += 1) {
        const angle = (2 * Math.PI * place) / count - Math.PI / 2;
        this.places.push([width / 2 + wide * length * Math.cos(angle), height / 2 + high * length * Math.sin(angle)]);
      }
    });
    this.size = others <= ONE_CIRCLE ? 6 : others <= 300 ? 4 : 2.5;
  }

  #drawPairs(pen) {
    for (const [one, other, packets, state, loss] of this.nodes.pairs) {
      const [cut, held] = [state === CUT, state === HELD];
      const [from, to] = [this.places[one], this.places[other]];
      pen.beginPath();
      pen.moveTo(...from);
      pen.lineTo(...to);
      pen.setLineDash(cut ? [5, 4] : held ? [2, 3] : []);
      pen.globalAlpha = cut || held ? 0.7 : Math.min(0.9, 0.12 + Math.log2(1 + packets) / 10);
      pen.lineWidth = cut || held ? 1 : Math.min(4, 0.6 + Math.log2(1 + packets) / 3);
      pen.strokeStyle = cut ? this.#colour("--red") : held ? this.#colour("--amber") : this.#ofLoss(loss);
      pen.stroke();
    }
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  }

  #drawNodes(pen) {
    const { names, up, paused, cut, loss, pairs } = this.nodes;
    const [ink, red, amber, accent, faint] = ["--ink", "--red", "--amber", "--accent", "--faint"].map((name) => this.#colour(name));
    pen.font = "11px system-ui, sans-serif";
    names.forEach((name, number) => {
      const [x, y] = this.places[number];
      const size = number ? this.size : this.size + 4;
      pen.beginPath();
      pen.arc(x, y, size, 0, 2 * Math.PI);
      pen.fillStyle = pairs ? accent : this.#ofLoss(loss[number]);
      if (number === 0) pen.fillStyle = ink;
      if (paused[number]) pen.fillStyle = faint;
      if (up[number]) pen.fill();
      if (!up[number] || cut[number] > 0.5) {
        pen.strokeStyle = red;
        pen.lineWidth = 2;
        pen.stroke();
      }
      if (this.chosen.has(name)) {
        pen.beginPath();
        pen.arc(x, y, size + 3, 0, 2 * Math.PI);
        pen.strokeStyle = amber;
        pen.lineWidth = 2;
        pen.stroke();
      }
      if (names.length <= MOST_NAMES || number === this.hovered || number === 0) this.#name(pen, number, x, y, size);
    });
  }

  #name(pen, number, x, y, size) {
    const [middle, centre] = this.places[0];
    const right = x >= middle;
    const upright = number > 0 && Math.abs(x - middle) < 12; // at the top and the bottom names would meet their neighbours'
    pen.fillStyle = this.#colour("--ink");
    pen.textAlign = upright ? "center" : right ? "left" : "right";
    pen.textBaseline = "middle";
    if (upright) pen.fillText(this.nodes.names[number], x, y + (y < centre ? -size - 8 : size + 8));
    else pen.fillText(this.nodes.names[number], x + (right ? size + 4 : -size - 4), y);
  }

  #ofLoss(loss) {
    const share = Math.min(1, loss / LOSS_FULL);
    return `rgb(${CALM.map((part, place) => Math.round(part + share * (LOSSY[place] - part))).join()})`;
  }

  #colour(name) {
    return getComputedStyle(this.canvas).getPropertyValue(name).trim();
  }

  #hover(event) {
    let found;
    if (event && this.places) {
      let nearest = 14;
      this.places.forEach(([x, y], number) => {
        const distance = Math.hypot(x - event.offsetX, y - event.offsetY);
        if (distance < nearest) [nearest, found] = [distance, number];
      });
    }
    if (found === this.hovered) return;
    this.hovered = found;
    const { names, up, paused, busy, cut, loss } = this.nodes;
    this.canvas.title = found === undefined ? "" : [
      `${names[found]}, ${!up[found] ? "down" : paused[found] ? "paused" : "up"}`,
      `${busy[found]} datagrams received in the last second`,
      `links from it: ${(loss[found] * 100).toFixed(1)} % configured loss, ${Math.round(cut[found] * 100)} % cut`,
    ].join("\n");
    this.draw();
  }

  #click() {
    if (this.hovered === undefined) return;
    const name = this.nodes.names[this.hovered];
    if (!this.chosen.delete(name)) this.chosen.add(name);
    this.onChosen([...this.chosen]);
    this.draw();
  }
}
