// Tables that become lists of cards on a narrow screen, and pages of them.

import { h, show, failure, missing, notice, lacking } from "./dom.js";
import { ask, query } from "./api.js";

export const PAGE_ROWS = 50;

/**
 * A table. A column: `title`, `cell(row)` (text or an element), and `kind`: `number` (to the right,
 * and two beside each other in a card), `fixed` (never broken), else text that may be long. The roles are written out because a table that is laid out as a list loses its own.
 */
export function table(label, columns, rows, attributes = () => ({})) {
  const head = columns.map((column) => h("th", { scope: "col", role: "columnheader", class: column.kind }, column.title));
  const cell = (row, column) => h("td", { role: "cell", "data-label": column.title, class: column.kind }, h("span", {}, column.cell(row)));
  const line = (row) => h("tr", { role: "row", ...attributes(row) }, columns.map((column) => cell(row, column)));
  return h("div", { class: "sheet" }, h("table", { role: "table", "aria-label": label },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head)),
    h("tbody", { role: "rowgroup" }, rows.map(line))));
}

/**
 * A list read page by page with X-Next-Cursor. `draw(rows)` makes the element for one page.
 * Answers that come after the next question was asked are thrown away.
 */
export class Pages {
  constructor(place, path, draw, empty) {
    Object.assign(this, { place, path, draw, empty, values: {}, cursors: [null], asked: 0 });
  }

  /** From the first page, with these parameters. */
  search(values) {
    this.values = values;
    this.cursors = [null];
    return this.reload();
  }

  async reload() {
    const turn = ++this.asked;
    this.place.setAttribute("aria-busy", "true");
    const cursor = this.cursors.at(-1);
    let content;
    try {
      const answer = await ask(this.path + query({ _limit: PAGE_ROWS, ...this.values, _cursor: cursor }));
      content = [missing(answer.unreachable), this.rows(answer.body), this.pager(answer)];
    } catch (error) {
      content = [error.lacks ? lacking(this.path) : failure(error)];
    }
    if (turn !== this.asked) return;
    this.place.removeAttribute("aria-busy");
    show(this.place, ...content);
  }

  rows(rows) {
    return rows.length ? this.draw(rows) : notice("idle", this.empty);
  }

  pager({ body, next }) {
    const page = this.cursors.length;
    if (page === 1 && !next) return h("p", { class: "count" }, body.length === 1 ? "1 row" : `${body.length} rows`);
    const back = () => { this.cursors.pop(); this.reload(); };
    const on = () => { this.cursors.push(next); this.reload(); };
    return h("div", { class: "pager" },
      h("button", { type: "button", disabled: page === 1, onclick: back }, "Previous"),
      h("span", {}, `Page ${page}`),
      h("button", { type: "button", disabled: !next, onclick: on }, "Next"));
  }
}
