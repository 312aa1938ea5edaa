// The first view: the map, the sums of the moment, and everything that is known of each node.

import { h, show, badge, heading, notice } from "./dom.js";
import { follow } from "./live.js";
import { map, role, state } from "./map.js";
import { table } from "./table.js";
import { bytes, count, microseconds, milliseconds, plural, short, uptime } from "./format.js";

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
    show(nodes, h("h2", {}, "Nodes"), nodeTable(live));
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

function nodeTable({ nodes, leader, hasCluster }) {
  const machine = (read) => (node) => (node.machine && !node.error ? read(node.machine) : "–");
  const member = (read) => (node) => (node.member && !node.error ? read(node.member) : "–");
  const columns = [
    { title: "Node", cell: (node) => h("strong", {}, String(node.id)) },
    { title: "State", cell: (node) => badge(state(node).kind, state(node).word) },
    { title: "Address", cell: (node) => (node.name ?? node.member?.node_name ?? "").replace(/^\d+@/, "") || "–" },
    ...(hasCluster ? [
      { title: "Role", cell: (node) => role(node, leader) || "–" },
      { title: "Applied", number: true, cell: member((row) => count(row.applied_index)) },
      { title: "Lag", number: true, cell: member((row) => count(row.lag)) },
      // Of a node that does not answer, this is what the leader knows.
      { title: "Contact", number: true, cell: (node) => (Number.isFinite(node.member?.last_contact_ms) ? `${milliseconds(node.member.last_contact_ms)} ago` : "–") },
    ] : []),
    { title: "Connections", number: true, cell: machine((row) => count(row.connections)) },
    { title: "Load", number: true, cell: machine((row) => row.load1.toFixed(2)) },
    { title: "Memory used", number: true, cell: machine((row) => `${bytes(row.memory_used)} of ${bytes(row.memory_total)}`) },
    { title: "Disk free", number: true, cell: machine((row) => bytes(row.disk_free)) },
    { title: "Uptime", number: true, cell: machine((row) => uptime(row.uptime)) },
    { title: "Version", cell: machine((row) => row.version.replace(/^raftmq\//, "")) },
  ];
  return table(plural(nodes.length, "node"), columns, nodes, (node) => ({ "data-state": state(node).id }));
}

/** The links as the sending nodes tell them. */
function linkTable({ nodes }) {
  const links = nodes.flatMap((node) => (node.error ? [] : node.member?.links ?? []).map((link) => ({ from: node.id, ...link })));
  if (!links.length) return null;
  const columns = [
    { title: "Link", cell: (link) => h("strong", {}, `${link.from} → ${link.peer}`) },
    { title: "State", cell: (link) => badge(link.up ? "ok" : "bad", link.up ? "Up" : "Down") },
    { title: "Round trip", number: true, cell: (link) => microseconds(link.round_trip_us ?? NaN) },
    { title: "Queued", number: true, cell: (link) => bytes(link.queued_bytes) },
    { title: "In flight", number: true, cell: (link) => bytes(link.in_flight_bytes) },
    { title: "Window", number: true, cell: (link) => bytes(link.window_bytes) },
    { title: "Dropped", number: true, cell: (link) => count(link.dropped) },
  ];
  return [h("h2", {}, "Links"), table(plural(links.length, "link"), columns, links)];
}
