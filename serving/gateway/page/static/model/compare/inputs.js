/**
 * Two rows, one version: what the difference of the inputs does to the answer.
 *
 *     form, form ──▶ two rows ──one request where rows are answered alone, else one each──▶ what differs, both answers
 */
import { fill, h } from "../../core/dom.js";
import { readRow } from "../../core/row.js";
import { predict } from "../../core/service.js";
import { examplesOrWhy, exampleStrip } from "../../form/examples.js";
import { createForm } from "../../form/form.js";
import { differing } from "./differences.js";
import { refused, showSides } from "./sides.js";
import { createWriter } from "./writing.js";

/** @typedef {import("../../core/card.js").Row} Row */
/** @typedef {import("./sides.js").Side} Side */

const TITLES = ["First input", "Second input"];

/**
 * @param {HTMLElement} host
 * @param {import("../view.js").Context} context
 * @param {AbortSignal} signal
 */
export async function show(host, context, signal) {
  const { signature, card, address, version } = context;
  const examples = await examplesOrWhy(context, signal);
  const forms = TITLES.map(() => createForm(signature, changed, { known: examples.rows, signal }));
  const writer = createWriter(address, () => ({ row: forms[0].draft(), other: forms[1].draft() }), (fits) => (note.hidden = fits), signal);
  const note = h("p", { class: "hint", hidden: true }, "These values are too long for the URL: a link to this page goes without some of them.");
  const inputs = h("p", { class: "hint", "aria-live": "polite" });
  const result = h("section", { class: "result", "aria-label": "Answers", "aria-live": "polite" });
  let asking = new AbortController();

  function changed() {
    writer.changed();
    const [one, other] = forms.map((form) => form.draft());
    const names = one && other ? differing(signature.inputs, one, other) : [];
    mark(names);
    fill(inputs, one && other ? describe(names) : "");
  }

  /** @param {string[]} names */
  function describe(names) {
    return names.length ? `Inputs that differ: ${names.join(", ")}.` : "Both inputs are the same: change one of them.";
  }

  /** @param {string[]} names */
  function mark(names) {
    for (const form of forms) {
      for (const field of /** @type {NodeListOf<HTMLElement>} */ (form.element.querySelectorAll("[data-input]"))) {
        if (names.includes(field.dataset.input ?? "")) field.dataset.differs = "";
        else delete field.dataset.differs;
      }
    }
  }

  async function ask() {
    const [one, other] = forms.map((form) => form.row());
    if (!one || !other) return;
    writer.now();
    asking.abort();
    asking = new AbortController();
    const both = AbortSignal.any([signal, asking.signal]);
    result.setAttribute("aria-busy", "true");
    const sides = (await together([one, other], both)) ?? (await Promise.all([one, other].map((row, place) => alone(row, place, both))));
    if (both.aborted) return;
    showSides(result, [sides[0], sides[1]]);
    result.removeAttribute("aria-busy");
  }

  /**
   * Both in one request; null where that cannot be, or one of them is refused: which one, only asking each tells.
   * @param {Row[]} rows
   * @param {AbortSignal} ends
   * @returns {Promise<Side[] | null>}
   */
  async function together(rows, ends) {
    if (!signature.independent || !signature.in_rows) return null;
    try {
      const answer = await predict({ model: card.name, version, signature, rows }, ends);
      return answer.predictions.map((prediction, place) => ({ title: TITLES[place], signature, prediction, answer, error: "" }));
    } catch (error) {
      if (!ends.aborted) refused(error);
      return null;
    }
  }

  /** @param {Row} row @param {number} place @param {AbortSignal} ends @returns {Promise<Side>} */
  async function alone(row, place, ends) {
    const title = TITLES[place];
    try {
      const answer = await predict({ model: card.name, version, signature, rows: [row] }, ends);
      return { title, signature, prediction: answer.predictions[0], answer, error: "" };
    } catch (error) {
      const failed = ends.aborted ? null : refused(error);
      const elsewhere = failed !== null && forms[place].fail(failed);
      return { title, signature, prediction: null, answer: null, error: elsewhere || !failed ? "" : failed.message };
    }
  }

  /** @param {number} place @param {Row} row */
  function take(place, row) {
    forms[place].set(row);
    changed();
  }

  function swap() {
    const [one, other] = forms.map((form) => form.row());
    if (!one || !other) return;
    forms[0].set(other);
    forms[1].set(one);
    changed();
    if (result.childElementCount) void ask();
  }

  function copy() {
    const row = forms[0].row();
    if (row) take(1, row);
  }

  const sheet = h(
    "form",
    {
      novalidate: true,
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        void ask();
      },
    },
    h(
      "div",
      { class: "columns" },
      forms.map((form, place) =>
        h("fieldset", { class: "side" }, h("legend", {}, TITLES[place]), exampleStrip(signature, examples, (row) => take(place, row)), form.element),
      ),
    ),
    inputs,
    note,
    h(
      "p",
      { class: "actions" },
      h("button", { type: "submit", class: "primary" }, "Ask both"),
      h("button", { type: "button", onclick: copy }, "Copy the first over"),
      h("button", { type: "button", onclick: swap }, "Swap"),
    ),
  );
  fill(host, sheet, result);
  const [first, second] = ["row", "other"].map((name) => readRow(address.query.get(name), signature).row);
  for (const row of [examples.rows[0], first]) if (row) forms.forEach((form) => form.set(row));
  if (second) forms[1].set(second);
  changed();
  if (first && second && forms.every((form) => form.draft())) await ask();
}
