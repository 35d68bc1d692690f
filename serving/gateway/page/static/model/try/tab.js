/**
 * Try a model: the form, one click to an example, one to the answer, and what is to be known of that.
 *
 *     row in the URL, or the first example ──▶ form ──Ask──▶ answer, time, code, raw, what changes it
 *                  ▲                            │
 *                  └───── as it changes ────────┘
 */
import { answerView, brief } from "../../answer/answer.js";
import { LONGEST, update } from "../../core/address.js";
import { fill, h } from "../../core/dom.js";
import { readRow } from "../../core/row.js";
import { predict, ServiceError } from "../../core/service.js";
import { createForm } from "../../form/form.js";
import { codePanel } from "./code/code.js";
import { examplesOrWhy, exampleStrip } from "../../form/examples.js";
import { panel as influence } from "./influence/panel.js";
import { rawPanel } from "./raw/raw.js";
import { timePanel } from "./time/time.js";

/** @typedef {import("../../core/card.js").Row} Row */
/** @typedef {import("../view.js").Context} Context */
/** What stands below an answer. @typedef {(context: Context, row: Row, answer: import("../../core/service.js").Answer, signal: AbortSignal, edit: (row: Row) => void) => HTMLElement} Panel edit: puts another row into the form and asks */

/** @type {Panel[]} */
const PANELS = [timePanel, influence, codePanel, rawPanel];

/** After the last change, before it is written into the URL: browsers refuse to do that with each move of a pen. */
const WRITTEN_AFTER_MS = 250;

/** After it an answer is late, and the page says that it waits. */
const SLOW_MS = 1000;

/**
 * @param {HTMLElement} host
 * @param {Context} context
 * @param {AbortSignal} signal
 */
export async function show(host, context, signal) {
  const { signature, card, address } = context;
  const examples = await examplesOrWhy(context, signal);
  const form = createForm(signature, changed, { known: examples.rows, signal });
  const problem = h("p", { class: "error", role: "alert", hidden: true });
  const broken = h("p", { class: "note", role: "status", hidden: true });
  const long = h("p", { class: "hint", role: "status", hidden: true }, "These values are too long for the URL: a link to this page goes without them.");
  const ask = h("button", { type: "submit", class: "primary", "aria-keyshortcuts": "Control+Enter" }, "Ask");
  const waiting = h("span", { class: "hint waiting", role: "status" });
  const stale = h("span", { class: "hint", hidden: true }, "for what was asked before");
  const heard = h("p", { class: "unseen", role: "status" }); // the answer in one line: all that stands below it would be too much
  const place = h("section", { class: "result", "aria-label": "Answer" }, h("p", { class: "hint" }, "The answer comes here."));
  let asking = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let writing;
  let written = address.query.get("row") ?? "";
  let changes = 0;
  signal.addEventListener("abort", () => clearTimeout(writing), { once: true });

  function changed() {
    const row = form.draft();
    changes += 1;
    stale.hidden = false;
    problem.hidden = true;
    if (!row) return;
    const text = JSON.stringify(row);
    if (text.length < LONGEST) address.query.set("row", text); // other tabs are given it at once
    else address.query.delete("row");
    clearTimeout(writing);
    writing = setTimeout(() => write(text), WRITTEN_AFTER_MS);
  }

  /** @param {string} text */
  function write(text) {
    clearTimeout(writing);
    writing = undefined;
    written = text;
    long.hidden = update(address, { row: text });
  }

  function flush() {
    if (writing === undefined) return;
    const row = form.draft();
    if (row) write(JSON.stringify(row));
  }

  /** @param {Row} row */
  function take(row) {
    form.set(row);
    void answer();
  }

  /** @param {Row} row from a panel, which goes with the answer that it stands below: the keyboard goes on here */
  function edit(row) {
    take(row);
    ask.focus({ preventScroll: true });
  }

  async function answer() {
    const row = form.row();
    if (!row) return;
    const text = JSON.stringify(row);
    if (writing !== undefined || text !== written) write(text);
    const seen = changes;
    asking.abort();
    asking = new AbortController();
    const both = AbortSignal.any([signal, asking.signal]);
    problem.hidden = true;
    broken.hidden = true;
    fill(heard);
    place.setAttribute("aria-busy", "true");
    const slow = setTimeout(() => fill(waiting, "Waiting for the server …"), SLOW_MS);
    try {
      const got = await predict({ model: card.name, version: context.version, signature, rows: [row] }, both);
      stale.hidden = seen === changes; // somebody may have gone on writing
      fill(heard, `Answer: ${brief(signature, got.predictions[0])}`);
      fill(place, h("div", { class: "result-head" }, h("h2", {}, "Answer"), stale), answerView(signature, got.predictions[0]), PANELS.map((panel) => panel(context, row, got, both, edit)));
      if (place.getBoundingClientRect().top > innerHeight * 0.8) place.scrollIntoView({ block: "nearest" }); // below the form, on a phone
    } catch (error) {
      if (both.aborted) return;
      if (!(error instanceof ServiceError)) throw error;
      fill(place, h("p", { class: "hint" }, "There is no answer to this."));
      if (!form.fail(error)) refuse(error);
    } finally {
      clearTimeout(slow);
      if (!both.aborted) {
        place.removeAttribute("aria-busy");
        fill(waiting);
      }
    }
  }

  /** @param {ServiceError} error */
  function refuse({ status, message, requestId }) {
    const server = status >= 500 && requestId;
    fill(problem, message, server && h("span", { class: "request-id" }, "Request id ", h("code", {}, requestId)));
    problem.hidden = false;
  }

  const sheet = h(
    "form",
    {
      class: "sheet",
      novalidate: true,
      onfocusout: flush,
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
        event.preventDefault();
        void answer();
      },
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        void answer();
      },
    },
    broken,
    exampleStrip(signature, examples, take),
    form.element,
    h("p", { class: "actions" }, ask, h("span", { class: "hint keys", "aria-hidden": "true" }, "Ctrl + Enter"), waiting),
    problem,
    long,
  );
  fill(host, h("div", { class: "columns" }, sheet, place), heard);

  if (examples.rows.length) form.set(examples.rows[0]);
  const linked = readRow(address.query.get("row"), signature);
  if (linked.row) form.set(linked.row);
  if (linked.problem) {
    fill(broken, linked.problem, ".");
    broken.hidden = false;
  } else if (linked.row && signature.inputs.every(({ name }) => Object.hasOwn(linked.row ?? {}, name))) {
    await answer();
  }
}
