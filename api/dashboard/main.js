// Starts the page: the navigation, the view that the address names, the state of the connection.

import { h, show, badge, failure } from "./dom.js";
import { token, whenUnauthorized } from "./api.js";
import { askForToken, logOut } from "./login.js";
import { follow, start } from "./live.js";
import * as cluster from "./cluster.js";
import * as rates from "./rates.js";
import * as clients from "./clients.js";
import * as subscriptions from "./subscriptions.js";
import * as routes from "./routes.js";
import * as retained from "./retained.js";
import * as plugins from "./plugins.js";
import * as doctor from "./doctor.js";

/** By the first part of the address behind `#/`. `open(place, parameters)` may return how to leave. */
const VIEWS = new Map([
  ["cluster", { title: "Cluster", open: cluster.open }],
  ["rates", { title: "Rates", open: rates.open }],
  ["clients", { title: "Clients", open: clients.open }],
  ["subscriptions", { title: "Subscriptions", open: subscriptions.open }],
  ["routes", { title: "Routes", open: routes.open }],
  ["retained", { title: "Retained", open: retained.open }],
  ["plugins", { title: "Plugins", open: plugins.open }],
  ["doctor", { title: "Doctor", open: doctor.open }],
]);

const nav = document.getElementById("nav");
const main = document.getElementById("view");
const pulse = document.getElementById("pulse");
const logout = document.getElementById("logout");
let leave = null;

function route() {
  const [name, parameters] = location.hash.replace(/^#\/?/, "").split("?");
  const id = VIEWS.has(name) ? name : "cluster";
  leave?.();
  for (const link of nav.children) {
    if (link.dataset.view === id) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${VIEWS.get(id).title} · RaftMQ`;
  // A place of its own: what an earlier view still waits for is drawn where nobody sees it.
  const place = h("div", { class: "view", "data-view": id });
  show(main, place);
  leave = VIEWS.get(id).open(place, new URLSearchParams(parameters)) ?? null;
}

function beat({ errors, answeredAt }) {
  logout.hidden = token.get() === null;
  document.body.classList.toggle("stale", errors.length > 0);
  if (!errors.length) return show(pulse, answeredAt ? badge("ok", `Live from ${location.host}`) : "Connecting");
  const since = answeredAt ? ` What is shown is ${Math.round((Date.now() - answeredAt) / 1000)} s old.` : "";
  return show(pulse, badge("bad", `${errors.map((error) => error.message).join(" ")}${since}`));
}

show(nav, [...VIEWS].map(([id, { title }]) => h("a", { href: `#/${id}`, "data-view": id }, title)));
logout.addEventListener("click", logOut);
whenUnauthorized(askForToken);
addEventListener("hashchange", () => {
  // The link for the keyboard to the content is no view.
  if (location.hash !== "#view") route();
});
addEventListener("unhandledrejection", (event) => main.prepend(failure(event.reason)));
route();
follow(beat);
start();
