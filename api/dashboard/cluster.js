// The first view: the map, the sums of the moment, and everything that is known of each node.

import { h, show, badge, heading, notice } from "./dom.js";
import { follow } from "./live.js";
import { map, role, state } from "./map.js";
import { table } from "./table.js";
import { bytes, count, microseconds, milliseconds, short, uptime } from "./format.js";

const NARROW = matchMedia("(max-width: 699px)");

export function open(view) {
  const drawing = h("section", { class: "panel", "aria-label": "Map" });
  const tiles = h("dl", { class: "tiles", "aria-label": "Sums" });
  const nodes = h("section", { "aria-label": "Nodes" });
  const links = h("section", { "aria-label": "Links" });
  const said = h("div", { class: "said", "aria-live": "polite" });
  show(view, heading("Cluster", "Every node as the node behind this page sees it, asked every two seconds."), said, drawing, tiles, nodes, links);
  let latest = null;
  const draw = (live) => {
    latest = live;
    if (!live.nodes.length) return;
    show(said, trouble(live));
    show(drawing, map(live, NARROW.matches), legend(live));
    show(tiles, sums(live));
    show(nodes, h("h2", {}, "Nodes"), nodeTable(live), h("h2", {}, "Machines"), machineTable(live));
    show(links, linkTable(live));
  };
  const redraw = () => draw(latest);
  NARROW.addEventListener("change", redraw);
  const leave = follow(draw);
  return () => { leave(); NARROW.removeEventListener("change", redraw); };
}

/** Nodes that are down or not ready, with the reason. */
function trouble({ nodes }) {
  return nodes.map((node) => [node, state(node)]).filter(([, { kind }]) => kind !== "ok").map(([node, { kind, word, why }]) =>
    notice(kind, h("strong", {}, `Node ${node.id}: ${word.toLowerCase()}. `), why));
}

function legend({ hasCluster, leader, term }) {
  if (!hasCluster) return h("p", { class: "caption" }, "Roles, lag and links: this version of the broker lacks ", h("code", {}, "/cluster"), ".");
  const led = leader ? `Node ${leader} leads in term ${term}.` : "No node leads.";
  return h("p", { class: "caption" }, led, " Lines are links: solid up, dashed down, with the slower round trip.");
}

function sums({ nodes, samples }) {
  const now = samples.at(-1)?.sum ?? {};
  const total = (key) => sumOf(nodes.map((node) => node.stats?.[key]));
  const highest = (key) => Math.max(...nodes.map((node) => node.stats?.[key]).filter(Number.isFinite));
  const tile = (title, value, unit = "") => h("div", {}, h("dt", {}, title), h("dd", {}, value, unit && h("small", {}, unit)));
  return [
    tile("Messages in", short(now.in), "/s"),
    tile("Messages out", short(now.out), "/s"),
    tile("Dropped", short(now.dropped), "/s"),
    tile("Connections", count(total("connections.count"))),
    tile("Sessions", count(total("sessions.count"))),
    tile("Subscriptions", count(total("subscriptions.count"))),
    tile("Queued", count(total("message_queues.count"))),
    // Every node holds all of these; adding them would count them several times.
    tile("Retained", count(highest("retained.count"))),
  ];
}

function sumOf(values) {
  const known = values.filter(Number.isFinite);
  return known.length ? known.reduce((sum, value) => sum + value, 0) : null;
}

/** What a node is in the cluster. Of one that does not answer, the contact is what the leader knows. */
function nodeTable({ nodes, leader, hasCluster }) {
  const contact = ({ member }) => (Number.isFinite(member?.last_contact_ms) ? `${milliseconds(member.last_contact_ms)} ago` : "–");
  const columns = [
    { title: "Node", kind: "fixed", cell: (node) => h("strong", {}, String(node.id)) },
    { title: "State", kind: "fixed", cell: (node) => badge(state(node).kind, state(node).word) },
    ...(hasCluster ? [
      { title: "Role", kind: "fixed", cell: (node) => role(node, leader) || "–" },
      { title: "Applied", kind: "number", cell: of("member", (row) => count(row.applied_index)) },
      { title: "Lag", kind: "number", cell: of("member", (row) => count(row.lag)) },
      { title: "Last contact", kind: "fixed", cell: contact },
    ] : []),
    { title: "Connections", kind: "number", cell: of("machine", (row) => count(row.connections)) },
    { title: "Address", cell: (node) => (node.name ?? node.member?.node_name ?? "").replace(/^\d+@/, "") || "–" },
    { title: "Uptime", kind: "number", cell: of("machine", (row) => uptime(row.uptime)) },
    { title: "Version", kind: "fixed", cell: of("machine", (row) => row.version.replace(/^raftmq\//, "")) },
  ];
  return table("Nodes", columns, nodes, (node) => ({ "data-state": state(node).id }));
}

/** What is beneath each node that answers. */
function machineTable({ nodes }) {
  const columns = [
    { title: "Node", kind: "fixed", cell: (node) => h("strong", {}, String(node.id)) },
    ...[1, 5, 15].map((minutes) => ({ title: `Load ${minutes} min`, kind: "number", cell: of("machine", (row) => row[`load${minutes}`].toFixed(2)) })),
    { title: "Memory used", kind: "fixed", cell: of("machine", (row) => `${bytes(row.memory_used)} of ${bytes(row.memory_total)}`) },
    { title: "Disk free", kind: "fixed", cell: of("machine", (row) => `${bytes(row.disk_free)} of ${bytes(row.disk_total)}`) },
  ];
  return table("Machines", columns, nodes.filter((node) => node.machine && !node.error));
}

/** A cell from one part of what a node said; a dash when it said nothing. */
function of(part, read) {
  return (node) => (node[part] && !node.error ? read(node[part]) : "–");
}

/** The links as the sending nodes tell them. */
function linkTable({ nodes }) {
  const links = nodes.flatMap((node) => (node.error ? [] : node.member?.links ?? []).map((link) => ({ from: node.id, ...link })));
  if (!links.length) return null;
  const columns = [
    { title: "Link", cell: (link) => h("strong", {}, `${link.from} → ${link.peer}`) },
    { title: "State", kind: "fixed", cell: (link) => badge(link.up ? "ok" : "bad", link.up ? "Up" : "Down") },
    { title: "Round trip", kind: "number", cell: (link) => microseconds(link.round_trip_us ?? NaN) },
    { title: "Queued", kind: "number", cell: (link) => bytes(link.queued_bytes) },
    { title: "In flight", kind: "number", cell: (link) => bytes(link.in_flight_bytes) },
    { title: "Window", kind: "number", cell: (link) => bytes(link.window_bytes) },
    { title: "Dropped", kind: "number", cell: (link) => count(link.dropped) },
  ];
  return [h("h2", {}, "Links"), table("Links", columns, links)];
}
