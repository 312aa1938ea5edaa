// Clients and waiting sessions: found, looked at, disconnected.

import { h, show, badge, confirm, dialog, failure, field, heading, missing, notice } from "./dom.js";
import { ask, query, segment } from "./api.js";
import { Pages, table } from "./table.js";
import { count } from "./format.js";

const VERSIONS = { 3: "3.1", 4: "3.1.1", 5: "5.0" };

/** The API writes `undefined` for a client that gave no name. */
const user = ({ username }) => (username === "undefined" ? "–" : username);

export function open(view, parameters) {
  const list = h("section", { "aria-label": "Clients" });
  const said = h("div", { class: "said", "aria-live": "polite" });
  const pages = new Pages(list, "/clients", (rows) => clientTable(rows, look), "No client matches.");
  const kicked = (id) => { show(said, notice("idle", `Client ${id} was disconnected and its session ended.`)); pages.reload(); };
  const look = (id) => details(id, kicked);
  const form = searchForm(parameters, (values) => { show(said); pages.search(values); });
  show(view, heading("Clients", "Connected clients and sessions that wait for theirs, on all nodes."), form, said, list);
  pages.search(valuesOf(form));
}

const valuesOf = (form) => Object.fromEntries(new FormData(form));

function searchForm(parameters, search) {
  const text = (name, title, hint) => field(title, h("input", { type: "search", name, placeholder: hint, value: parameters.get(name) ?? "", autocomplete: "off", spellcheck: "false" }));
  const option = (value, title) => h("option", { value, selected: parameters.get("connected") === value }, title);
  const form = h("form", { class: "filters", role: "search" },
    text("_like_clientid", "Client contains", "sensor-"),
    text("_like_username", "User contains", ""),
    text("ip_address", "Address is", "10.0.0.9"),
    field("State", h("select", { name: "connected" }, option("", "Any"), option("true", "Connected"), option("false", "Offline"))),
    h("button", { type: "submit", class: "primary" }, "Search"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = valuesOf(form);
    // Without leaving the view: only so that a reload, or a link, finds the same.
    history.replaceState(null, "", `#/clients${query(values)}`);
    search(values);
  });
  return form;
}

function clientTable(rows, look) {
  const columns = [
    { title: "Client", cell: (row) => h("button", { type: "button", class: "link", onclick: () => look(row.clientid) }, row.clientid) },
    { title: "State", kind: "fixed", cell: (row) => (row.connected ? badge("ok", "Connected") : badge("idle", "Offline")) },
    { title: "Node", kind: "number", cell: (row) => String(row.node_id) },
    { title: "User", cell: (row) => user(row) },
    { title: "Address", kind: "fixed", cell: (row) => `${row.ip_address}:${row.port}` },
    { title: "MQTT", kind: "number", cell: (row) => VERSIONS[row.proto_ver] ?? String(row.proto_ver) },
    { title: "Subscriptions", kind: "number", cell: (row) => count(row.subscriptions_cnt) },
    { title: "Queue", kind: "number", cell: (row) => count(row.mqueue_len) },
    { title: "In flight", kind: "number", cell: (row) => count(row.inflight) },
    { title: "Since", kind: "fixed", cell: (row) => (row.connected ? row.connected_at : row.disconnected_at) },
  ];
  return table("Clients", columns, rows, (row) => ({ "data-client": row.clientid }));
}

/** Everything about one client, asked anew. */
async function details(id, kicked) {
  const content = h("div", { "aria-busy": "true" });
  const kick = h("button", { type: "button", class: "danger", "data-action": "kick", onclick: () => { box.close(); askToKick(id, kicked); } }, "Disconnect…");
  const box = dialog(id, content, [h("a", { class: "button", href: `#/subscriptions${query({ clientid: id })}`, onclick: () => box.close() }, "Subscriptions"), kick]);
  try {
    const { body, unreachable } = await ask(`/clients/${segment(id)}`);
    show(content, missing(unreachable), h("dl", { class: "facts" }, facts(body)));
  } catch (error) {
    kick.disabled = true;
    show(content, failure(error));
  }
  content.removeAttribute("aria-busy");
}

function facts(row) {
  const will = row.last_will;
  const pairs = [
    ["State", row.connected ? badge("ok", "Connected") : badge("idle", `Offline: ${row.disconnected_reason || "no reason told"}`)],
    ["Node", String(row.node_id)],
    ["User", user(row)],
    ["Address", `${row.ip_address}:${row.port}`],
    ["Listener", row.listener || "not known"],
    ["MQTT", VERSIONS[row.proto_ver] ?? String(row.proto_ver)],
    ["Connected at", row.connected_at],
    row.connected ? null : ["Disconnected at", row.disconnected_at],
    ["Session created at", row.created_at],
    ["Session", `${row.clean_start ? "clean start" : "continued"}, ${row.session_present ? "was there" : "was new"}, expires after ${count(row.expiry_interval)} s`],
    ["Keep alive", `${count(row.keepalive)} s`],
    ["Subscriptions", count(row.subscriptions_cnt)],
    ["Queue", `${count(row.mqueue_len)} of ${count(row.max_mqueue)}`],
    ["In flight", `${count(row.inflight)} of ${count(row.max_inflight)}`],
    ["Will", will ? `${will.topic}, QoS ${will.qos}${will.retain ? ", retained" : ""}` : "none"],
  ];
  return pairs.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)));
}

function askToKick(id, kicked) {
  confirm("Disconnect this client?", `${id} is disconnected wherever it is, and its session with all subscriptions and queued messages ends. It may connect again.`,
    "Disconnect", () => ask(`/clients/${segment(id)}`, { method: "DELETE" }), () => kicked(id));
}
