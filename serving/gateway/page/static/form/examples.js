/** Rows that the model is known to take, each one click away. */
import { h } from "../core/dom.js";
import { ServiceError } from "../core/service.js";
import { previewOf } from "./preview.js";

/** @typedef {import("../core/card.js").Examples & { missing: string }} Known missing: why there are none */

/** Of those that are told apart by words: more at the press of a button. Pictures are small. */
const MOST_IN_WORDS = 6;

const SOURCES = { golden: "Examples", "warm-up": "Examples", "made up": "Made up rows" };

/**
 * @param {import("../core/card.js").Signature} signature
 * @param {Known} examples
 * @param {(row: import("../core/card.js").Row) => void} take
 */
export function exampleStrip(signature, { source, rows, missing }, take) {
  if (missing) return h("p", { class: "hint" }, `There are no examples: ${missing}`);
  if (rows.length === 0 || signature.inputs.length === 0) return null;
  let inWords = 0;
  const buttons = rows.map((row, index) => {
    const { pictures, words } = previewOf(signature, row, rows);
    if (words) inWords += 1;
    const name = `Example ${index + 1}${words && `: ${words}`}`;
    return h("button", { type: "button", class: "example", "aria-label": name, title: words || null, hidden: inWords > MOST_IN_WORDS, onclick: () => take(row) }, pictures, words && h("span", {}, words));
  });
  const hidden = buttons.filter((button) => button.hidden);
  const more = hidden.length > 0 && h("button", { type: "button", class: "slight", onclick: showAll }, `${hidden.length} more`);
  function showAll() {
    for (const button of hidden) button.hidden = false;
    hidden[0].focus();
    if (more) more.remove();
  }
  const title = SOURCES[/** @type {keyof typeof SOURCES} */ (source)] ?? "Examples";
  return h("div", { class: "examples", role: "group", "aria-label": title }, h("span", { class: "hint" }, title), buttons, more);
}

/**
 * Examples, or why there are none: the form goes without.
 * @param {{ examples: () => Promise<import("../core/card.js").Examples> }} context
 * @param {AbortSignal} signal
 * @returns {Promise<Known>}
 */
export async function examplesOrWhy(context, signal) {
  try {
    return { ...(await context.examples()), missing: "" };
  } catch (error) {
    if (signal.aborted || !(error instanceof ServiceError)) throw error;
    return { source: "", rows: [], answers: null, missing: error.message };
  }
}
