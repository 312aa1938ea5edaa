// Plugins of each node: what they are, whether they run, and how they are set.

import { h, show, badge, confirm, dialog, failure, heading, lacking, missing, notice } from "./dom.js";
import { ask, has, segment } from "./api.js";
import { table } from "./table.js";

export function open(view) {
  const list = h("section", { "aria-label": "Plugins" });
  const said = h("div", { class: "said", "aria-live": "polite" });
  const changed = (text) => { show(said, notice("idle", text)); load(); };
  const load = async () => {
    try {
      if (!(await has("/plugins"))) return show(list, lacking("/plugins"));
      const { body, unreachable } = await ask("/plugins");
      return show(list, missing(unreachable), ...body.flatMap((row) => ofNode(row, changed)));
    } catch (error) {
      return show(list, error.lacks ? lacking("/plugins") : failure(error));
    }
  };
  show(view, heading("Plugins", "Parts of the broker that can be switched on and off while it runs."), said, list);
  load();
}

/** `node` is a number; of a node that did not answer it may be an object with the number in it. */
function ofNode({ node, plugins, error }, changed) {
  const id = node?.id ?? node;
  const title = h("h2", {}, `Node ${id}`);
  if (error) return [title, notice("bad", h("strong", {}, "Does not answer. "), error)];
  return [title, plugins.length ? pluginTable(id, plugins, changed) : notice("idle", "This node has no plugins.")];
}

function pluginTable(node, plugins, changed) {
  const columns = [
    { title: "Plugin", cell: (plugin) => h("strong", {}, plugin.name) },
    { title: "State", kind: "fixed", cell: (plugin) => (plugin.active ? badge("ok", "Active") : badge("idle", plugin.inited ? "Loaded, not active" : "Not active")) },
    { title: "Version", cell: (plugin) => plugin.version ?? "–" },
    { title: "What it does", cell: (plugin) => plugin.descr ?? "–" },
    { title: "Actions", cell: (plugin) => h("div", { class: "row-actions" }, actions(node, plugin, changed)) },
  ];
  return table(`Plugins of node ${node}`, columns, plugins, (plugin) => ({ "data-plugin": `${node}/${plugin.name}` }));
}

function actions(node, plugin, changed) {
  const path = `/plugins/${node}/${segment(plugin.name)}`;
  const button = (action, title, act) => h("button", { type: "button", "data-action": action, onclick: act }, title);
  const put = (title, sentence, verb, done) => confirm(`${title} ${plugin.name}?`, sentence, title,
    () => ask(`${path}/${verb}`, { method: "PUT" }), ({ body }) => changed(done(body)));
  const verb = plugin.active ? "unload" : "load";
  const title = plugin.active ? "Unload" : "Load";
  const name = `${plugin.name} on node ${node}`;
  // `false` is an answer, too: nothing was done.
  const run = () => put(title, `On node ${node} only.`, verb, (body) => `${name} was ${body === false ? "not " : ""}${verb}ed.`);
  const reload = () => put("Reload", `Its file is read again, on node ${node} only. A file with a mistake changes nothing.`, "config/reload", () => `The file of ${name} was read again.`);
  return [
    button("config", "Config", () => config(path, plugin.name, node)),
    plugin.immutable || !plugin.active ? null : button("reload", "Reload…", reload),
    plugin.immutable || serves(plugin) ? h("span", { class: "muted" }, "built in") : button(verb, `${title}…`, run),
  ];
}

/** Without it there would be no page, and nobody to load it again. */
function serves(plugin) {
  return plugin.name === "rmqtt-http-api" && plugin.active;
}

async function config(path, name, node) {
  const content = h("div", { "aria-busy": "true" });
  dialog(`${name} on node ${node}`, content);
  try {
    const { body } = await ask(`${path}/config`);
    show(content, h("pre", { class: "payload", tabindex: "0" }, typeof body === "string" ? body : JSON.stringify(body, null, 2)));
  } catch (error) {
    show(content, failure(error));
  }
  content.removeAttribute("aria-busy");
}
