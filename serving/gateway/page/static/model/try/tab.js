/**
 * Try a model: the form, one click to an example, one to the answer, and what is to be known of that.
 *
 *     row in the URL, or the first example ──▶ form ──Ask──▶ answer, time, code, raw, what changes it
 */
import { answerView } from "../../answer/answer.js";
import { update } from "../../core/address.js";
import { fill, h } from "../../core/dom.js";
import { predict, ServiceError } from "../../core/service.js";
import { createForm } from "../../form/form.js";

/** @typedef {import("../../core/card.js").Row} Row */
/** @typedef {import("../view.js").Context} Context */
/** What stands below an answer. @typedef {(context: Context, row: Row, answer: import("../../core/service.js").Answer, signal: AbortSignal) => HTMLElement} Panel */

/** @type {Panel[]} */
const PANELS = [];

/**
 * @param {HTMLElement} host
 * @param {Context} context
 * @param {AbortSignal} signal
 */
export async function show(host, context, signal) {
  const { signature, card, address } = context;
  const examples = await context.examples();
  const form = createForm(signature, changed);
  const problem = h("p", { class: "error", role: "alert", hidden: true });
  const note = h("p", { class: "hint", hidden: true }, "These values are too long for the URL: a link to this page goes without them.");
  const ask = h("button", { type: "submit", class: "primary" }, "Ask");
  const place = h("section", { class: "result", "aria-label": "Answer", "aria-live": "polite" });
  const choices = examples.rows.map((row, index) =>
    h("button", { type: "button", class: "example", onclick: () => take(row) }, `${index + 1}`),
  );
  let asking = new AbortController();

  function changed() {
    const row = form.row();
    if (row) note.hidden = update(address, { row: JSON.stringify(row) });
  }

  /** @param {Row} row */
  function take(row) {
    form.set(row);
    changed();
    void answer();
  }

  async function answer() {
    const row = form.row();
    if (!row) return;
    asking.abort();
    asking = new AbortController();
    const both = AbortSignal.any([signal, asking.signal]);
    problem.hidden = true;
    place.setAttribute("aria-busy", "true");
    try {
      const got = await predict({ model: card.name, version: context.version, signature, rows: [row] }, both);
      fill(place, h("h2", {}, "Answer"), answerView(signature, got.predictions[0]), PANELS.map((panel) => panel(context, row, got, both)));
    } catch (error) {
      if (both.aborted) return;
      if (!(error instanceof ServiceError)) throw error;
      fill(place);
      if (!form.fail(error)) {
        fill(problem, error.message);
        problem.hidden = false;
      }
    } finally {
      if (!both.aborted) place.removeAttribute("aria-busy");
    }
  }

  const sheet = h(
    "form",
    {
      class: "sheet",
      novalidate: true,
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        void answer();
      },
    },
    choices.length > 0 && h("div", { class: "examples", role: "group", "aria-label": "Examples" }, h("span", {}, "Examples"), choices),
    form.element,
    note,
    problem,
    h("p", { class: "actions" }, ask),
  );
  fill(host, h("div", { class: "columns" }, sheet, place));
  const linked = rowOf(address.query.get("row"));
  if (linked) {
    form.set(linked);
    await answer();
  } else if (examples.rows.length) {
    form.set(examples.rows[0]);
  }
}

/** @param {string | undefined} text @returns {Row | null} */
export function rowOf(text) {
  try {
    const value = JSON.parse(text ?? "");
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null; // somebody's own link
  }
}
