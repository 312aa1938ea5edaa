// Rates and gauges over the last minutes, for the cluster and for each node.

import { h, show, heading, notice } from "./dom.js";
import { follow, KEPT_MS, SERIES } from "./live.js";
import { Chart, lineClass, lineTitle } from "./chart.js";

/** Lines that somebody switched off; as long as the page lives. */
const hidden = new Set();

export function open(view) {
  const charts = SERIES.map((series) => new Chart(series));
  const legend = h("div", { class: "legend", role: "group", "aria-label": "Lines" });
  const said = h("div", {});
  const sentence = `Since this page was opened, for at most ${KEPT_MS / 60_000} minutes. Point at a chart, or use the arrow keys, for values.`;
  show(view, heading("Rates", sentence), said, legend, h("div", { class: "charts" }, charts.map((chart) => chart.element)));
  let latest = null;
  const draw = (live) => {
    latest = live;
    const lines = ["sum", ...live.nodes.map((node) => node.id)];
    const shown = lines.filter((line) => !hidden.has(line));
    charts.forEach((chart) => chart.update(live.samples, shown));
    toggles(legend, lines, () => draw(latest));
    const silent = live.nodes.filter((node) => node.error).map((node) => node.id);
    show(said, silent.length ? notice("warn", `Not in the sum, because it does not answer: node ${silent.join(", node ")}.`) : null);
  };
  const leave = follow(draw);
  return () => { leave(); charts.forEach((chart) => chart.close()); };
}

/** The buttons stay when the lines do, so that the focus stays, too. */
function toggles(legend, lines, changed) {
  const known = [...legend.children].map((button) => button.dataset.line);
  if (known.join() === lines.join()) return;
  show(legend, lines.map((line) => {
    const button = h("button", { type: "button", class: `line-toggle ${lineClass(line)}`, "data-line": line, "aria-pressed": String(!hidden.has(line)) },
      h("i", {}), lineTitle(line));
    button.addEventListener("click", () => {
      if (!hidden.delete(line)) hidden.add(line);
      button.setAttribute("aria-pressed", String(!hidden.has(line)));
      changed();
    });
    return button;
  }));
}
