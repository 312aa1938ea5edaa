// The cluster as a drawing: a card for each node, a line for each pair of links. A node that does not
// answer keeps its place, marked as down.

import { s, mark } from "./dom.js";
import { count, microseconds, bytes } from "./format.js";

const WIDE = { width: 760, height: 330, card: { width: 208, height: 98 } };
// A narrow one has no room for what waits on a link; the table of links has it.
const NARROW = { width: 340, rowHeight: 150, card: { width: 156, height: 98 } };

/** What a node is, as kind of mark, word and sentence. */
export function state(node) {
  if (node.error) return { kind: "bad", id: "down", word: "Down", why: node.error };
  const { ready, reason } = node.member ?? {};
  if (ready === false) return { kind: "warn", id: "not-ready", word: "Not ready", why: reason ?? "" };
  return ready ? { kind: "ok", id: "ready", word: "Ready", why: "" } : { kind: "ok", id: "answers", word: "Answers", why: "" };
}

export function role(node, leader) {
  if (node.error) return "";
  if (node.id === leader) return "Leader";
  const told = node.member?.role ?? "";
  return told.charAt(0).toUpperCase() + told.slice(1);
}

/** The drawing, for a wide or a narrow screen. */
export function map({ nodes, leader }, isNarrow) {
  const plan = isNarrow ? rows(nodes.length) : circle(nodes.length);
  const placed = nodes.map((node, index) => ({ node, ...plan.places[index] }));
  const pairs = placed.flatMap((a, index) => placed.slice(index + 1).map((b) => [a, b]));
  return s("svg", { class: "map", viewBox: `0 0 ${plan.width} ${plan.height}`, role: "img", "aria-label": summary(nodes, leader) },
    pairs.map(([a, b]) => line(a, b)),
    pairs.map(([a, b]) => label(a, b, { card: plan.card, isNarrow })),
    placed.map((place) => card(place, plan.card, leader)));
}

function summary(nodes, leader) {
  return nodes.map((node) => ["node", node.id, role(node, leader), state(node).word].filter(Boolean).join(" ")).join(", ");
}

/** Around an ellipse, the first node at the top. */
function circle(number) {
  const { width, height, card } = WIDE;
  const [cx, cy] = [width / 2, height / 2];
  const [rx, ry] = number === 1 ? [0, 0] : [cx - card.width / 2 - 8, cy - card.height / 2 - 4];
  const raw = Array.from({ length: number }, (_, index) => {
    const angle = (index / number) * 2 * Math.PI - Math.PI / 2;
    return { x: cx + rx * Math.cos(angle), y: cy + ry * Math.sin(angle) };
  });
  // Three points of a circle fill only three quarters of its height.
  const lowest = Math.max(...raw.map(({ y }) => y));
  const stretch = number > 1 && lowest > cy - ry ? (2 * ry) / (lowest - (cy - ry)) : 1;
  const places = raw.map(({ x, y }) => ({ x, y: cy - ry + (y - (cy - ry)) * stretch }));
  return { width, height, card, places };
}

/** One above, then two in each row. */
function rows(number) {
  const { width, rowHeight, card } = NARROW;
  const row = (index) => Math.ceil(index / 2);
  const places = Array.from({ length: number }, (_, index) => {
    const x = index === 0 ? width / 2 : index % 2 === 1 ? card.width / 2 + 2 : width - card.width / 2 - 2;
    return { x, y: card.height / 2 + 2 + row(index) * rowHeight };
  });
  return { width, height: row(number - 1) * rowHeight + card.height + 26, card, places };
}

/** Both directions between two nodes: up when both are, unknown when no node tells. */
function connection(a, b) {
  const told = [[a, b], [b, a]].map(([from, to]) => from.member?.links?.find((link) => link.peer === to.id)).filter(Boolean);
  if (a.error || b.error || told.some((link) => !link.up)) return { id: "down", told };
  return { id: told.length ? "up" : "unknown", told };
}

function line(a, b) {
  const { id } = connection(a.node, b.node);
  return s("line", { class: `link ${id}`, "data-link": `${a.node.id}-${b.node.id}`, "data-state": id, x1: a.x, y1: a.y, x2: b.x, y2: b.y });
}

function label(a, b, { card, isNarrow }) {
  const { id, told } = connection(a.node, b.node);
  const text = id === "down" ? "link down" : traffic(told, isNarrow);
  if (!text) return null;
  const besideEachOther = Math.abs(a.y - b.y) < 1;
  // Between two cards in a row there may be no room: then below them.
  const below = besideEachOther && Math.abs(a.x - b.x) < card.width + 90;
  const [x, y] = [(a.x + b.x) / 2, (a.y + b.y) / 2 + (below ? card.height / 2 + 16 : 0)];
  const width = text.length * 6.6 + 12;
  return s("g", { class: `link-label ${id}` },
    s("rect", { x: x - width / 2, y: y - 10, width, height: 20, rx: 10 }),
    s("text", { x, y: y + 4, "text-anchor": "middle" }, text));
}

/** The slower round trip of the two directions, and what waits. */
function traffic(links, isNarrow) {
  const trips = links.map((link) => link.round_trip_us).filter(Number.isFinite);
  const waiting = isNarrow ? 0 : links.reduce((sum, link) => sum + (link.queued_bytes ?? 0), 0);
  return [trips.length ? microseconds(Math.max(...trips)) : "", waiting ? `${bytes(waiting)} queued` : ""].filter(Boolean).join(", ");
}

function card({ node, x, y }, { width, height }, leader) {
  const { kind, id, word } = state(node);
  const [left, top] = [x - width / 2, y - height / 2];
  const classes = ["node", id, node.id === leader && "leader"].filter(Boolean).join(" ");
  const text = (dy, content, name) => s("text", { class: name, x: left + 14, y: top + dy }, content);
  return s("g", { class: classes, "data-node": node.id, "data-state": id },
    s("rect", { x: left, y: top, width, height, rx: 8 }),
    text(26, `Node ${node.id}`, "name"),
    s("text", { class: "role", x: left + width - 14, y: top + 26, "text-anchor": "end" }, role(node, leader)),
    mark(kind, left + 14, top + 37),
    s("text", { class: `word ${kind}`, x: left + 35, y: top + 49.5 }, word),
    text(68, first(node)),
    text(84, second(node)));
}

function first(node) {
  if (node.error) return "does not answer";
  const connections = node.machine?.connections ?? node.stats?.["connections.count"];
  return `${count(connections)} connection${connections === 1 ? "" : "s"}`;
}

function second(node) {
  if (node.error) return "";
  if (node.member?.lag !== undefined) return `lag ${count(node.member.lag)}, applied ${count(node.member.applied_index)}`;
  return `${count(node.stats?.["sessions.count"])} sessions`;
}
