// Retained messages, with their payloads as text when they are text, else as octets.

import { h, show, confirm, dialog, failure, field, heading, lacking, missing, notice } from "./dom.js";
import { ask, has, query } from "./api.js";
import { PAGE_ROWS, table } from "./table.js";
import { bytes, decode, hex, readable, time } from "./format.js";

/** Octets of a payload that are shown; more of it helps nobody and slows the page. */
const SHOWN_MAX = 16_384;
/** Characters of a payload in a row of the list. */
const PREVIEW_MAX = 80;

export function open(view, parameters) {
  const list = h("section", { "aria-label": "Retained messages" });
  const filter = h("input", { type: "search", name: "topic_filter", placeholder: "house/#", value: parameters.get("topic_filter") ?? "", autocomplete: "off", spellcheck: "false" });
  const form = h("form", { class: "filters", role: "search" },
    h("div", { class: "wide" }, field("Topic filter", filter)), h("button", { type: "submit", class: "primary" }, "Search"));
  const said = h("div", { class: "said", "aria-live": "polite" });
  let turn = 0;
  // Where each page began: how many items a page has, the node decides.
  const load = async (offsets) => {
    const own = ++turn;
    let content;
    try {
      content = (await has("/retains")) ? await page(filter.value, offsets, load, deleted) : [lacking("/retains")];
    } catch (error) {
      content = [error.lacks ? lacking("/retains") : failure(error)];
    }
    if (own === turn) show(list, ...content);
  };
  // The topic, and where the list was: what was behind it has moved up by one.
  const deleted = (topic, offsets) => {
    show(said, notice("idle", `The retained message of ${topic} was deleted.`));
    load(offsets);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show(said);
    history.replaceState(null, "", `#/retained${query({ topic_filter: filter.value })}`);
    load([0]);
  });
  show(view, heading("Retained", "The message that each topic keeps for new subscribers."), form, said, list);
  load([0]);
}

async function page(filter, offsets, load, deleted) {
  const offset = offsets.at(-1);
  const { body, unreachable } = await ask(`/retains${query({ topic_filter: filter || "#", offset, limit: PAGE_ROWS })}`);
  const move = (title, target, isOff) => h("button", { type: "button", disabled: isOff, onclick: () => load(target) }, title);
  // The last message of a page has gone, and there are pages before it.
  if (!body.items.length && offsets.length > 1) return page(filter, offsets.slice(0, -1), load, deleted);
  const gone = (topic) => deleted(topic, offsets);
  const rows = body.items.length ? retainedTable(body.items, gone) : notice("idle", "No retained message matches.");
  const pager = offset || body.has_more
    ? h("div", { class: "pager" },
      move("Previous", offsets.slice(0, -1), offsets.length === 1),
      h("span", {}, `Page ${offsets.length}`),
      move("Next", [...offsets, offset + body.items.length], !body.has_more))
    : null;
  return [missing(unreachable), rows, pager];
}

function retainedTable(items, gone) {
  const columns = [
    { title: "Topic", cell: (item) => h("button", { type: "button", class: "link", onclick: () => payload(item, gone) }, item.topic) },
    { title: "Payload", cell: (item) => h("code", { class: "preview" }, preview(decode(item.publish.payload ?? ""))) },
    { title: "Size", kind: "number", cell: (item) => bytes(decode(item.publish.payload ?? "").length) },
    { title: "QoS", kind: "number", cell: (item) => String(item.publish.qos ?? 0) },
    { title: "From", cell: (item) => item.client_id ?? (typeof item.from === "string" ? item.from : "–") },
    { title: "Published", kind: "fixed", cell: (item) => time(item.publish.create_time) },
    { title: "Expires", kind: "number", cell: (item) => (Number.isFinite(item.remaining_ttl) ? `in ${Math.round(item.remaining_ttl)} s` : "never") },
  ];
  return table("Retained messages", columns, items, (item) => ({ "data-topic": item.topic }));
}

function preview(octets) {
  const text = readable(octets.slice(0, SHOWN_MAX)) ?? readable(octets);
  if (text === null) return [...octets.slice(0, 24)].map((octet) => octet.toString(16).padStart(2, "0")).join(" ") + (octets.length > 24 ? " …" : "");
  return text.length > PREVIEW_MAX ? `${text.slice(0, PREVIEW_MAX)}…` : text || "(empty)";
}

function payload(item, gone) {
  const octets = decode(item.publish.payload ?? "");
  const text = readable(octets);
  const box = h("pre", { class: "payload", tabindex: "0" });
  const cut = octets.length > SHOWN_MAX ? notice("idle", `The first ${bytes(SHOWN_MAX)} of ${bytes(octets.length)}.`) : null;
  const asText = () => { box.textContent = text.slice(0, SHOWN_MAX); };
  const asHex = () => { box.textContent = hex(octets.slice(0, SHOWN_MAX)); };
  const choice = h("div", { class: "legend", role: "group", "aria-label": "Show as" },
    h("button", { type: "button", disabled: text === null, onclick: asText }, "Text"), h("button", { type: "button", onclick: asHex }, "Hex"));
  if (text === null) asHex(); else asText();
  const remove = h("button", { type: "button", class: "danger", "data-action": "delete", onclick: () => { shown.close(); askToDelete(item.topic, gone); } }, "Delete…");
  const shown = dialog(item.topic, h("div", {}, choice, cut, box), [remove]);
}

function askToDelete(topic, gone) {
  confirm("Delete this retained message?", `Who subscribes to ${topic} from now on gets none, until one is published again.`,
    "Delete", () => ask(`/retains${query({ topic })}`, { method: "DELETE" }), () => gone(topic));
}
