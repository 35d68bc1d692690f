/**
 * Rows with their answers as a table: sorted by a column, filtered, some at a time.
 *
 *     Item[] ──filter──▶ ──sort──▶ ──page──▶ 50 rows of the document, whatever the file has
 */
import { outputsWithChances } from "../../answer/shown.js";
import { fill, h, uniqueId } from "../../core/dom.js";
import { count } from "../../core/numbers.js";
import { keysOf, keysOfPlain, plain, told } from "./cells.js";
import { cellOf } from "./records.js";
import { sorted } from "./sorting.js";

/** @typedef {import("../../core/card.js").Row} Row */
/** @typedef {import("../../core/service.js").Prediction} Prediction */
/**
 * A row of the file, and what has become of it.
 * @typedef {object} Item
 * @property {import("./records.js").FileRecord} record
 * @property {Row | null} row what is asked; null: it is no row of the signature, and `error` says why
 * @property {Prediction | null} prediction null: not yet, or refused
 * @property {string} error
 */
/** @typedef {{ title: string, kind: "row" | "carried" | "input" | "output" | "error", numeric: boolean, text: (item: Item) => string, keys: (item: Item) => import("./sorting.js").Keys }} Column */

const PAGE = 50;
/** Columns that go along and are shown; the downloads have all. */
export const MOST_CARRIED = 6;

/**
 * @param {import("../../core/card.js").Signature} signature
 * @param {import("./columns.js").Plan} plan
 * @param {Item[]} items
 * @param {(item: Item) => string | null} linkOf the address that shows a row in the form; null: it has none
 */
export function createGrid(signature, plan, items, linkOf) {
  const columns = columnsOf(signature, plan, items);
  let by = 0;
  let descending = false;
  let page = 0;
  /** @type {(HTMLElement | null)[]} of the rows that are shown */
  let links = [];
  const headers = columns.map((column, at) => {
    const arrow = h("span", { class: "arrow", "aria-hidden": "true" });
    const button = h("button", { type: "button", onclick: () => sort(at) }, column.title, arrow);
    return h("th", { scope: "col", class: classOf(column), "aria-sort": at === 0 ? "ascending" : "none" }, button);
  });
  const body = h("tbody", { onclick: follow });
  const filterId = uniqueId("filter");
  const filter = h("input", { id: filterId, type: "search", autocomplete: "off", oninput: () => turn(0) });
  const onlyFailed = h("input", { type: "checkbox", onchange: () => turn(0) });
  const failedLabel = h("label", { class: "only-failed", hidden: true }, onlyFailed, " only rows that failed");
  const shown = h("p", { class: "hint rows-shown", role: "status" });
  const back = h("button", { type: "button", onclick: () => turn(page - 1) }, "Previous");
  const on = h("button", { type: "button", onclick: () => turn(page + 1) }, "Next");
  const pages = h("p", { class: "actions pages" }, back, on);
  const element = h(
    "div",
    { class: "table-grid" },
    h("div", { class: "above" }, h("div", { class: "find" }, h("label", { for: filterId }, "Find"), filter), failedLabel, shown),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Rows and answers" }, h("table", {}, h("thead", {}, h("tr", {}, headers)), body)),
    pages,
  );

  /** @param {number} at */
  function sort(at) {
    descending = at === by && !descending;
    by = at;
    headers.forEach((header, place) => header.setAttribute("aria-sort", place !== by ? "none" : descending ? "descending" : "ascending"));
    turn(0);
  }

  /** @param {number} to */
  function turn(to) {
    page = to;
    refresh();
  }

  /** Shows what the items are now. */
  function refresh() {
    const failed = items.some(({ error }) => error);
    failedLabel.hidden = !failed;
    headers[columns.length - 1].hidden = !failed;
    const asked = filter.value.trim().toLowerCase();
    const kept = items.filter((item) => (!onlyFailed.checked || item.error) && (!asked || columns.some((column) => column.text(item).toLowerCase().includes(asked))));
    const ordered = sorted(kept, columns[by].keys, descending);
    page = Math.max(0, Math.min(page, Math.ceil(ordered.length / PAGE) - 1));
    const some = ordered.slice(page * PAGE, (page + 1) * PAGE);
    const focused = links.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const lines = some.map((item) => line(item, failed));
    fill(body, lines);
    links = lines.map((each) => each.querySelector("a"));
    if (focused >= 0) links[focused]?.focus({ preventScroll: true });
    const all = kept.length === items.length ? count(items.length, "row") : `${kept.length.toLocaleString("en")} of ${count(items.length, "row")}`;
    const text = some.length ? `${(page * PAGE + 1).toLocaleString("en")}–${(page * PAGE + some.length).toLocaleString("en")} of ${all}` : `No row has this. ${all}`;
    if (shown.textContent !== text) fill(shown, text); // a screen reader says it when it changes
    back.disabled = page === 0;
    on.disabled = (page + 1) * PAGE >= ordered.length;
    pages.hidden = ordered.length <= PAGE;
  }

  /** @param {Item} item @param {boolean} failed */
  function line(item, failed) {
    const cells = failed ? columns : columns.slice(0, -1);
    return h("tr", { class: item.error && "failed" }, cells.map((column) => cell(column, item)));
  }

  /** @param {Column} column @param {Item} item */
  function cell(column, item) {
    const text = column.text(item);
    if (column.kind !== "row") return h("td", { class: classOf(column) }, h("span", {}, text));
    const link = linkOf(item);
    const title = link === null ? "This row is too long for a link" : `Try row ${text}`;
    return h("th", { scope: "row", class: "number" }, link === null ? h("span", { title }, text) : h("a", { href: link, title, "aria-label": title }, text));
  }

  /** A click anywhere on a row is one on its link, but for one that ends a selection. @param {MouseEvent} event */
  function follow(event) {
    const target = /** @type {Element} */ (event.target);
    if (target.closest("a") || String(getSelection())) return;
    target.closest("tr")?.querySelector("a")?.click();
  }

  refresh();
  return { element, refresh };
}

/**
 * @param {import("../../core/card.js").Signature} signature
 * @param {import("./columns.js").Plan} plan
 * @param {Item[]} items
 * @returns {Column[]}
 */
function columnsOf(signature, plan, items) {
  /** @type {Column[]} */
  const carried = plan.carried.slice(0, MOST_CARRIED).map((name) => {
    const keys = (/** @type {Item} */ { record }) => keysOfPlain(cellOf(record, name));
    const kinds = new Set(items.map((item) => typeof keys(item)));
    return { title: name, kind: "carried", numeric: kinds.has("number") && !kinds.has("string"), text: ({ record }) => plain(cellOf(record, name)), keys };
  });
  /** @type {Column[]} */
  const inputs = [...plan.inputs.keys()].map((tensor) => ({
    title: tensor.name,
    kind: "input",
    numeric: isSingle(tensor, signature.in_rows),
    text: ({ row, record }) => (row ? told(tensor, row[tensor.name]) : plain(cellOf(record, tensor.name))),
    keys: ({ row }) => keysOf(tensor, row?.[tensor.name]),
  }));
  /** @type {Column[]} */
  const outputs = outputsWithChances(signature)
    .filter((tensor) => tensor.holds !== "other")
    .map((tensor) => ({
      title: tensor.name,
      kind: "output",
      numeric: isSingle(tensor, signature.in_rows),
      text: ({ prediction }) => told(tensor, prediction?.[tensor.name]),
      keys: ({ prediction }) => keysOf(tensor, prediction?.[tensor.name]),
    }));
  return [
    { title: "Row", kind: "row", numeric: true, text: ({ record }) => String(record.place), keys: ({ record }) => record.place },
    ...carried,
    ...inputs,
    ...outputs,
    { title: "Problem", kind: "error", numeric: false, text: ({ error }) => error, keys: ({ error }) => error || null },
  ];
}

/** @param {import("../../core/card.js").Tensor} tensor @param {boolean} inRows */
function isSingle({ holds, shape }, inRows) {
  return holds === "numbers" && shape !== null && shape.slice(inRows ? 1 : 0).every((size) => size === 1);
}

/** @param {Column} column */
function classOf({ kind, numeric }) {
  return `${kind}-cell${numeric ? " number" : ""}`;
}
