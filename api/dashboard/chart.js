// A line chart, drawn by hand: one line for the sum and one for each node, values under the pointer or,
// with the arrow keys, under the cursor.

import { h, s, show } from "./dom.js";
import { short } from "./format.js";
import { KEPT_MS } from "./live.js";

const HEIGHT = 168;
/** The time drawn: the shortest of these that holds all samples, so that a new page is not empty. */
const SPANS_MS = [30_000, 60_000, 120_000, KEPT_MS];
const EDGE = { left: 44, right: 8, top: 10, bottom: 22 };

/** A line's name: `sum`, or a node's number. */
export const lineTitle = (line) => (line === "sum" ? "Sum" : `Node ${line}`);

/** The class that gives a line its colour and its dashes. */
export const lineClass = (line) => (line === "sum" ? "sum" : `n${(Number(line) - 1) % 5 + 1}`);

const valueOf = (sample, line, key) => (line === "sum" ? sample.sum[key] : sample.nodes[line]?.[key]) ?? null;

export class Chart {
  constructor(series) {
    this.series = series;
    this.samples = [];
    this.lines = [];
    this.cursor = null;
    this.now = h("output", { class: "now" });
    this.plot = h("div", { class: "plot", tabindex: "0", role: "slider", "aria-label": `${series.title} over time` });
    this.tip = h("div", { class: "tip", hidden: true });
    this.element = h("figure", { class: "chart", "data-series": series.key },
      h("figcaption", {}, h("span", {}, series.title), this.now), h("div", { class: "frame" }, this.plot, this.tip));
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerdown", (event) => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.moveTo(null));
    this.plot.addEventListener("blur", () => this.moveTo(null));
    this.plot.addEventListener("keydown", (event) => this.key(event));
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.plot);
  }

  /** The samples to draw, and which lines of them. */
  update(samples, lines) {
    this.samples = [...samples];
    this.lines = lines;
    this.draw();
  }

  close() {
    this.observer.disconnect();
  }

  draw() {
    const { key, unit } = this.series;
    const latest = this.samples.at(-1);
    this.now.textContent = `${short(latest ? latest.sum[key] : null)}${unit}`;
    const width = Math.max(this.plot.clientWidth, 160);
    const scale = this.scale(width);
    show(this.plot, s("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" },
      this.grid(scale, width), this.lines.map((line) => this.path(line, scale)), this.crosshair(scale)));
    this.describe(scale, width);
  }

  scale(width) {
    const values = this.samples.flatMap((sample) => this.lines.map((line) => valueOf(sample, line, this.series.key) ?? 0));
    const top = roundUp(Math.max(0, ...values));
    const end = this.samples.at(-1)?.at ?? 0;
    const age = end - (this.samples[0]?.at ?? end);
    const span = SPANS_MS.find((candidate) => candidate >= age) ?? KEPT_MS;
    const [spanX, spanY] = [width - EDGE.left - EDGE.right, HEIGHT - EDGE.top - EDGE.bottom];
    return {
      top,
      span,
      x: (at) => EDGE.left + (1 - (end - at) / span) * spanX,
      y: (value) => EDGE.top + (1 - value / top) * spanY,
    };
  }

  grid({ top, span, y }, width) {
    const right = width - EDGE.right;
    const level = (value) => [
      s("line", { class: "grid", x1: EDGE.left, x2: right, y1: y(value), y2: y(value) }),
      s("text", { x: EDGE.left - 6, y: y(value) + 4, "text-anchor": "end" }, short(value)),
    ];
    return s("g", { class: "axis" }, [0, top / 2, top].map(level),
      s("text", { x: EDGE.left, y: HEIGHT - 5 }, span < 60_000 ? `${span / 1_000} s ago` : `${span / 60_000} min ago`),
      s("text", { x: right, y: HEIGHT - 5, "text-anchor": "end" }, "now"));
  }

  /** A line with gaps where there is no value. */
  path(line, { x, y }) {
    let isDown = false;
    const steps = this.samples.map((sample) => {
      const value = valueOf(sample, line, this.series.key);
      const step = value === null ? "" : `${isDown ? "L" : "M"}${x(sample.at).toFixed(1)} ${y(value).toFixed(1)}${isDown ? "" : "l0 0"}`;
      isDown = value !== null;
      return step;
    });
    return s("path", { class: `line ${lineClass(line)}`, d: steps.join("") });
  }

  crosshair({ x }) {
    const sample = this.sample();
    if (!sample) return null;
    return s("line", { class: "cursor", x1: x(sample.at), x2: x(sample.at), y1: EDGE.top, y2: HEIGHT - EDGE.bottom });
  }

  // --- the cursor: the time of a sample, so that it stays with it when the drawing moves on -----------

  sample() {
    return this.samples.find((sample) => sample.at === this.cursor);
  }

  moveTo(sample) {
    this.cursor = sample?.at ?? null;
    this.draw();
  }

  point(event) {
    const box = this.plot.getBoundingClientRect();
    const { x } = this.scale(box.width);
    const distance = (sample) => Math.abs(x(sample.at) - (event.clientX - box.left));
    this.moveTo(this.samples.reduce((best, sample) => (best && distance(best) <= distance(sample) ? best : sample), null));
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (event.key === "Escape") return this.moveTo(null);
    if (!(event.key in steps) || !this.samples.length) return undefined;
    event.preventDefault();
    const last = this.samples.length - 1;
    const found = this.samples.indexOf(this.sample());
    const index = found < 0 ? last : found + steps[event.key];
    return this.moveTo(this.samples[Math.min(Math.max(index, 0), last)]);
  }

  /** The values at the cursor, for the eye and for a screen reader. */
  describe({ x }, width) {
    const sample = this.sample();
    this.tip.hidden = !sample;
    const index = sample ? this.samples.indexOf(sample) : this.samples.length - 1;
    const shown = sample ?? this.samples.at(-1);
    this.plot.setAttribute("aria-valuemin", 0);
    this.plot.setAttribute("aria-valuemax", Math.max(this.samples.length - 1, 0));
    this.plot.setAttribute("aria-valuenow", Math.max(index, 0));
    this.plot.setAttribute("aria-valuetext", shown ? this.words(shown) : "no values yet");
    if (!sample) return;
    const rows = this.lines.map((line) => h("div", { class: `row ${lineClass(line)}` },
      h("i", {}), h("span", {}, lineTitle(line)), h("b", {}, this.value(sample, line))));
    show(this.tip, h("div", { class: "when" }, this.when(sample)), rows);
    const isRight = x(sample.at) > width / 2;
    this.tip.style.left = isRight ? "auto" : `${x(sample.at) + 10}px`;
    this.tip.style.right = isRight ? `${width - x(sample.at) + 10}px` : "auto";
  }

  value(sample, line) {
    const value = valueOf(sample, line, this.series.key);
    return value === null ? "no value" : `${short(value)}${this.series.unit}`;
  }

  when(sample) {
    return new Date(Date.now() - performance.now() + sample.at).toLocaleTimeString("en-GB");
  }

  words(sample) {
    return `${this.when(sample)}: ${this.lines.map((line) => `${lineTitle(line)} ${this.value(sample, line)}`).join(", ")}`;
  }
}

/** The next of 1, 2, 5, 10, 20, ... that is not below `value`. */
function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}
