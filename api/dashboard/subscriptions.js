// Who subscribes to what: of one client, or all that a topic matches.

import { h, show, field, heading } from "./dom.js";
import { query } from "./api.js";
import { Pages, table } from "./table.js";

export function open(view, parameters) {
  const list = h("section", { "aria-label": "Subscriptions" });
  const pages = new Pages(list, "/subscriptions", subscriptionTable, "No subscription matches.");
  const text = (name, title, hint) => field(title, h("input", { type: "search", name, placeholder: hint, value: parameters.get(name) ?? "", autocomplete: "off", spellcheck: "false" }));
  const form = h("form", { class: "filters", role: "search" },
    text("clientid", "Client is", "sensor-1"),
    text("_match_topic", "Matches the topic", "house/kitchen/temperature"),
    text("topic", "Filter is", "house/#"),
    text("share", "Share group is", ""),
    h("button", { type: "submit", class: "primary" }, "Search"));
  const values = () => Object.fromEntries(new FormData(form));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    history.replaceState(null, "", `#/subscriptions${query(values())}`);
    pages.search(values());
  });
  show(view, heading("Subscriptions", "From the replicated table, so the same on every node."), form, list);
  pages.search(values());
}

/** Rows of `/subscriptions`. */
export function subscriptionTable(rows) {
  const options = ({ opts }) => [
    opts.no_local && "no local",
    opts.retain_as_published && "retain as published",
    opts.id && `id ${opts.id}`,
  ].filter(Boolean).join(", ") || "–";
  const columns = [
    { title: "Client", cell: (row) => h("a", { href: `#/clients${query({ _like_clientid: row.clientid })}` }, row.clientid) },
    { title: "Filter", cell: (row) => h("code", {}, row.topic) },
    { title: "Share group", cell: (row) => row.share ?? "–" },
    { title: "QoS", kind: "number", cell: (row) => String(row.qos) },
    { title: "Node", kind: "number", cell: (row) => String(row.node_id) },
    { title: "Options", cell: options },
  ];
  return table("Subscriptions", columns, rows, (row) => ({ "data-client": row.clientid }));
}
