// What the cluster finds wrong with itself, worst first, with the figures that show it and what to do.

import { h, show, badge, failure, heading, lacking, missing } from "./dom.js";
import { ask, has } from "./api.js";

const SEVERITIES = { critical: ["bad", "Critical"], warning: ["warn", "Warning"], notice: ["idle", "Notice"] };
const ORDER = Object.keys(SEVERITIES);

export function open(view) {
  const list = h("section", { "aria-label": "Findings", "aria-live": "polite" });
  const again = h("button", { type: "button" }, "Examine again");
  const load = async () => {
    again.disabled = true;
    list.setAttribute("aria-busy", "true");
    try {
      show(list, (await has("/cluster/doctor")) ? await findings() : lacking("/cluster/doctor"));
    } catch (error) {
      show(list, error.lacks ? lacking("/cluster/doctor") : failure(error));
    }
    list.removeAttribute("aria-busy");
    again.disabled = false;
  };
  again.addEventListener("click", load);
  show(view, heading("Doctor", "What is wrong with the cluster or soon will be.", again), list);
  load();
}

async function findings() {
  const { body, unreachable } = await ask("/cluster/doctor");
  const rank = ({ severity }) => (ORDER.includes(severity) ? ORDER.indexOf(severity) : ORDER.length);
  const found = [...body.findings].sort((a, b) => rank(a) - rank(b));
  const none = h("div", { class: "panel" }, badge("ok", "Nothing is wrong."));
  return [missing(unreachable), found.length ? h("ul", { class: "findings" }, found.map(finding)) : none].filter(Boolean);
}

function finding({ severity, code, node_id: node, message, evidence, fix }) {
  const [kind, word] = SEVERITIES[severity] ?? ["idle", severity];
  const facts = Object.entries(evidence ?? {}).map(([name, value]) => h("div", {}, h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, typeof value === "object" ? JSON.stringify(value) : String(value))));
  return h("li", { class: `finding ${kind}`, "data-severity": severity },
    h("div", { class: "finding-head" }, badge(kind, word), h("code", {}, code ?? ""), node ? h("span", { class: "muted" }, `Node ${node}`) : null),
    h("p", {}, message),
    facts.length ? h("dl", { class: "facts" }, facts) : null,
    fix ? h("p", { class: "fix" }, h("strong", {}, "What to do: "), fix) : null);
}
