// What is asked again and again: the nodes and their counters. Every two seconds; a slow answer puts
// the next question off rather than adding one. The samples of the last minutes stay in the page.

import { ask, has, forgetEndpoints } from "./api.js";

export const POLL_MS = 2_000;
export const KEPT_MS = 5 * 60_000;
/** Longer than a node waits for its peers (5 s by default). */
const PATIENCE_MS = 15_000;

/** What is drawn over time: counters as rates per second, gauges as they are. */
export const SERIES = [
  { key: "in", title: "Messages in", unit: "/s", metric: "messages.publish" },
  { key: "out", title: "Messages out", unit: "/s", metric: "messages.delivered" },
  { key: "dropped", title: "Messages dropped", unit: "/s", metric: "messages.dropped" },
  { key: "connects", title: "Connects", unit: "/s", metric: "client.connected" },
  { key: "connections", title: "Connections", unit: "", stat: "connections.count" },
  { key: "queued", title: "Messages queued", unit: "", stat: "message_queues.count" },
];

/** The newest state. `errors`: what could not be asked; the rest is then as old as `answeredAt` says. */
export const live = { nodes: [], leader: null, term: null, hasCluster: null, errors: [], samples: [], answeredAt: null };

const listeners = new Set();

/** Calls `listener` now and after each poll, until the returned function is called. */
export function follow(listener) {
  listeners.add(listener);
  listener(live);
  return () => listeners.delete(listener);
}

export async function start() {
  for (;;) {
    await poll();
    for (const listener of listeners) listener(live);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function poll() {
  const patience = { patience: PATIENCE_MS };
  const questions = [membership(patience), ask("/nodes", patience), ask("/stats", patience), ask("/metrics", patience)];
  const answers = await Promise.allSettled(questions);
  live.errors = unique(answers.filter((answer) => answer.status === "rejected").map((answer) => answer.reason));
  const [members, machines, stats, metrics] = answers.map((answer) => answer.value?.body ?? null);
  if (live.errors.length) forgetEndpoints();
  if (live.errors.length === answers.length) return;
  live.answeredAt = Date.now();
  if (members) Object.assign(live, { leader: members.leader ?? null, term: members.term ?? null });
  live.nodes = merge(members, machines, stats, metrics);
  if (metrics && stats) remember(live.nodes);
}

/** The members: with roles and links when this version tells them, else only who answers. */
async function membership(patience) {
  live.hasCluster = await has("/cluster");
  return live.hasCluster ? ask("/cluster", patience) : ask("/brokers", patience);
}

function unique(errors) {
  return [...new Map(errors.map((error) => [error.message, error])).values()];
}

/** One object for each node, from the rows of all answers. A row with an error is kept as one. */
function merge(members, machines, stats, metrics) {
  const nodes = new Map();
  const node = (id) => {
    if (!nodes.has(id)) nodes.set(id, { id, error: null });
    return nodes.get(id);
  };
  const take = (rows, idOf, assign) => {
    for (const row of rows ?? []) {
      const target = node(idOf(row));
      if (row.error) target.error ??= row.error;
      assign(target, row);
    }
  };
  const ownId = (row) => row.node_id;
  const innerId = (row) => row.node.id;
  take(Array.isArray(members) ? members : members?.nodes, ownId, (target, row) => { target.member = row; });
  take(machines, ownId, (target, row) => { target.machine = row; });
  take(stats, innerId, (target, row) => { target.stats = row.stats; target.name = row.node.name; });
  take(metrics, innerId, (target, row) => { target.metrics = row.metrics; });
  return [...nodes.values()].sort((a, b) => a.id - b.id);
}

// --- samples ----------------------------------------------------------------------------------------

let before = null;

/** Adds a sample: the rates since the one before, for each node that answered both times. */
function remember(nodes) {
  const at = performance.now();
  const sample = { at, nodes: {}, sum: {} };
  for (const node of nodes) {
    if (node.metrics && node.stats) sample.nodes[node.id] = measure(node, at);
  }
  for (const { key } of SERIES) {
    const values = Object.values(sample.nodes).map((node) => node[key]).filter((value) => value !== null);
    sample.sum[key] = values.length ? values.reduce((sum, value) => sum + value, 0) : null;
  }
  before = { at, metrics: new Map(nodes.map((node) => [node.id, node.metrics])) };
  live.samples.push(sample);
  while (live.samples.length && live.samples[0].at < at - KEPT_MS) live.samples.shift();
}

function measure(node, at) {
  const earlier = before?.metrics.get(node.id);
  const value = ({ metric, stat }) => {
    if (stat) return node.stats[stat];
    const grown = earlier ? node.metrics[metric] - earlier[metric] : -1;
    // A counter that shrank began anew: the node was restarted.
    return grown < 0 ? null : grown / ((at - before.at) / 1_000);
  };
  return Object.fromEntries(SERIES.map((series) => [series.key, value(series)]));
}
