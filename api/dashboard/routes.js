// Where messages go: the routes, and for one topic who would get it and by which way.

import { h, show, badge, failure, field, heading, lacking, missing, notice } from "./dom.js";
import { ask, has, query, segment } from "./api.js";
import { Pages, table } from "./table.js";
import { subscriptionTable } from "./subscriptions.js";
import { count, plural } from "./format.js";

const OUTCOMES = { sent: ["ok", "Sent"], queued: ["warn", "Queued"], not_delivered: ["bad", "Not delivered"], unknown: ["idle", "Unknown"] };

export function open(view, parameters) {
  const answer = h("section", { class: "answer", "aria-live": "polite", "aria-label": "Explanation" });
  const list = h("section", { "aria-label": "Routes" });
  const pages = new Pages(list, "/routes", routeTable, "There is no route: nobody subscribes to anything.");
  const form = explainForm(parameters, answer);
  show(view, heading("Routes", "Type a topic to see who would get a message on it, and why. Nothing is published."),
    form, answer, h("h2", {}, "All routes"), list);
  pages.search({});
}

function explainForm(parameters, answer) {
  const given = (name) => parameters.get(name) ?? "";
  const topic = h("input", { type: "search", name: "topic", required: true, placeholder: "house/kitchen/temperature", value: given("topic"), autocomplete: "off", spellcheck: "false" });
  const qos = h("select", { name: "qos" }, [0, 1, 2].map((level) => h("option", { selected: given("qos") === String(level) }, String(level))));
  const from = h("input", { type: "number", name: "from_node", min: "1", placeholder: "any", value: given("from_node") });
  const form = h("form", { class: "filters" },
    h("div", { class: "wide" }, field("Topic", topic)), field("QoS", qos), field("Published at node", from),
    h("button", { type: "submit", class: "primary" }, "Explain"));
  let turn = 0;
  const run = async () => {
    const own = ++turn;
    const asked = Object.fromEntries(new FormData(form));
    history.replaceState(null, "", `#/routes${query(asked)}`);
    answer.setAttribute("aria-busy", "true");
    let content;
    try {
      content = (await has("/routes/explain")) ? await explained(asked) : await looked(asked.topic);
    } catch (error) {
      content = [failure(error)];
    }
    if (own !== turn) return;
    answer.removeAttribute("aria-busy");
    show(answer, ...content);
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); run(); });
  if (topic.value) run();
  return form;
}

// --- with the dry run of the router -----------------------------------------------------------------

async function explained(asked) {
  const { body, unreachable } = await ask(`/routes/explain${query(asked)}`);
  const members = body.share_groups.flatMap((group) => group.members);
  const total = body.subscribers.length + body.share_groups.length;
  return [
    missing(unreachable),
    ways(body.topic, body.from_node, [...body.subscribers, ...members.filter((row) => row.outcome !== "not_delivered")]),
    total ? null : notice("idle", "Nobody subscribes to this topic."),
    body.subscribers.length ? [h("h2", {}, plural(body.subscribers.length, "subscriber")), outcomeTable("Subscribers", body.subscribers)] : null,
    body.share_groups.map(shareGroup),
    body.truncated ? notice("warn", "There are more subscribers than are shown.") : null,
  ].flat();
}

function shareGroup(group) {
  return [
    h("h2", {}, `Share group ${group.share} on `, h("code", {}, group.filter)),
    h("p", { class: "caption" }, group.why),
    outcomeTable(`Share group ${group.share}`, group.members, group.picked),
  ];
}

/** That a share group's other members do not get the message is no fault: `picked` does. */
function outcomeTable(label, rows, picked = null) {
  const outcome = (row) => {
    const [kind, word] = OUTCOMES[row.outcome] ?? ["idle", row.outcome];
    return badge(picked !== null && kind === "bad" ? "idle" : kind, word);
  };
  const columns = [
    { title: "Client", cell: (row) => h("a", { href: `#/clients${query({ _like_clientid: row.clientid })}` }, row.clientid) },
    { title: "Outcome", kind: "fixed", cell: outcome },
    { title: "Why", cell: (row) => row.why },
    { title: "Filters", cell: (row) => h("code", {}, row.filters.join(", ")) },
    { title: "Node", kind: "number", cell: (row) => String(row.node_id) },
    { title: "QoS", kind: "number", cell: (row) => String(row.qos) },
    { title: "Queue", kind: "fixed", cell: (row) => (row.queue === null ? "–" : `${count(row.queue)} of ${count(row.queue_max)}`) },
  ];
  return table(label, columns, rows, (row) => ({ "data-client": row.clientid }));
}

// --- without it: what the table matches -------------------------------------------------------------

async function looked(topic) {
  const [routes, subscribers] = await Promise.all([ask(`/routes/${segment(topic)}`), ask(`/subscriptions${query({ _match_topic: topic })}`)]);
  const nobody = notice("idle", "Nobody subscribes to this topic.");
  return [
    lacking("/routes/explain"),
    ways(topic, null, subscribers.body.map((row) => ({ node_id: row.node_id, filters: [row.topic] }))),
    h("h2", {}, plural(subscribers.body.length, "matching subscription")),
    subscribers.body.length ? subscriptionTable(subscribers.body) : nobody,
    subscribers.body.some((row) => row.share) ? h("p", { class: "caption" }, "Of each share group one member gets the message.") : null,
    subscribers.next ? notice("warn", "There are more subscriptions than are shown.") : null,
    h("h2", {}, plural(routes.body.length, "matching route")),
    routes.body.length ? routeTable(routes.body) : null,
  ];
}

/** One line for each node that the message reaches. */
function ways(topic, from, rows) {
  const nodes = new Map();
  for (const row of rows) {
    const way = nodes.get(row.node_id) ?? { subscribers: 0, filters: new Set() };
    way.subscribers += 1;
    row.filters.forEach((filter) => way.filters.add(filter));
    nodes.set(row.node_id, way);
  }
  const line = ([id, { subscribers, filters }]) => h("li", {},
    h("code", {}, topic), h("span", { class: "arrow", "aria-label": "goes to" }, "→"),
    h("strong", {}, `Node ${id}`), h("span", {}, id === from ? "(where it is published)" : ""),
    h("span", {}, `${plural(subscribers, "subscriber")} by `), h("code", {}, [...filters].join(", ")));
  return nodes.size ? h("ul", { class: "ways" }, [...nodes].sort(([a], [b]) => a - b).map(line)) : null;
}

function routeTable(rows) {
  const columns = [
    { title: "Filter", cell: (row) => h("code", {}, row.topic) },
    { title: "Node", kind: "number", cell: (row) => String(row.node_id) },
  ];
  return table("Routes", columns, rows);
}
