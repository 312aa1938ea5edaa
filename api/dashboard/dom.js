// Elements from data. Text only ever becomes a text node or an attribute, never markup, so whatever a
// client put into its identifier, topic or payload is shown and does nothing.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. `on…` attributes are listeners; `false` and `null` leave an attribute out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element, as `h`. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...present(children));
  return element;
}

/** Children without the places where there is none, however they are nested. */
function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Puts `children` in the place of what is in `element`. */
export function show(element, ...children) {
  element.replaceChildren(...present(children));
}

const MARKS = {
  ok: "M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11z",
  warn: "M8 1.5 15 14H1z",
  bad: "M3 1.5 8 6.3 13 1.5 14.5 3 9.7 8l4.8 5-1.5 1.5L8 9.7 3 14.5 1.5 13l4.8-5L1.5 3z",
  idle: "M2 6.5h12v3H2z",
};

/** A state: a shape, a colour and a word, so that no state is told by its colour alone. */
export function badge(kind, text) {
  const mark = s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", { d: MARKS[kind] }));
  return h("span", { class: `badge ${kind}` }, mark, text);
}

/** The same shape inside a drawing. */
export function mark(kind, x, y) {
  return s("path", { class: `mark ${kind}`, d: MARKS[kind], transform: `translate(${x} ${y})` });
}

/** A message beside the content: `bad`, `warn` or `idle`. */
export function notice(kind, ...content) {
  return h("p", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : "status" }, ...content);
}

/** What went wrong, in the API's own words. */
export function failure(error) {
  const code = error.code ? h("code", {}, error.code) : null;
  return notice("bad", h("strong", {}, "Failed. "), error.message, " ", code);
}

/** Names the nodes that are missing in an answer. */
export function missing(unreachable) {
  if (!unreachable?.length) return null;
  const nodes = unreachable.map((id) => `Node ${id}`).join(", ");
  return notice("warn", `${nodes} did not answer: what is known there alone is missing here.`);
}

/** Says quietly that this version has no such endpoint. */
export function lacking(path) {
  return notice("idle", "This version of the broker lacks ", h("code", {}, path), ".");
}

/** A heading with a sentence and, to its right, actions. */
export function heading(title, sentence, ...actions) {
  return h("div", { class: "heading" }, h("div", {}, h("h1", {}, title), h("p", {}, sentence)), ...actions);
}

/** A labelled control of a form. */
export function field(label, control) {
  return h("label", { class: "field" }, h("span", {}, label), control);
}

/** Opens a dialog; Escape and the button close it, the focus goes back to where it was. */
export function dialog(title, content, actions = []) {
  const close = h("button", { type: "button", class: "quiet", onclick: () => box.close() }, actions.length ? "Cancel" : "Close");
  const box = h("dialog", { "aria-label": title }, h("h2", {}, title), content, h("div", { class: "actions" }, close, ...actions));
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  return box;
}

/**
 * Asks before something is done that cannot be undone, and does it. An error is shown in the dialog,
 * which then stays; `done` gets the answer.
 */
export function confirm(title, sentence, verb, act, done) {
  const said = h("div", {});
  const button = h("button", { type: "button", class: "danger", "data-action": "confirm" }, verb);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const answer = await act();
      box.close();
      done(answer);
    } catch (error) {
      show(said, failure(error));
      button.disabled = false;
    }
  });
  const box = dialog(title, h("div", {}, h("p", {}, sentence), said), [button]);
}
