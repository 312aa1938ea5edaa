// Asks for the token of the HTTP API. There is no way around it: without the token there is nothing
// to show.

import { h, field, notice } from "./dom.js";
import { token } from "./api.js";

/** Resolves when a token was given; whether it is right the next request tells. */
export function askForToken(refused) {
  return new Promise((resolve) => {
    const input = h("input", { type: "password", name: "token", required: true, autocomplete: "current-password", autofocus: true });
    const submit = (event) => {
      event.preventDefault();
      token.set(input.value);
      box.close();
      box.remove();
      resolve();
    };
    const form = h("form", { onsubmit: submit },
      h("p", {}, "This cluster's API needs its bearer token (", h("code", {}, "http.bearer_token"), "). It is kept in this tab only."),
      refused ? notice("bad", "That token was refused.") : null,
      field("Token", input),
      h("div", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Log in")));
    const box = h("dialog", { id: "login", "aria-label": "Log in" }, h("h2", {}, "Log in"), form);
    box.addEventListener("cancel", (event) => event.preventDefault());
    // A second Escape closes a dialog whatever its cancel event says.
    box.addEventListener("close", () => { if (box.isConnected) box.showModal(); });
    document.body.append(box);
    box.showModal();
  });
}

/** Forgets the token, and everything on the page with it. */
export function logOut() {
  token.clear();
  location.reload();
}
