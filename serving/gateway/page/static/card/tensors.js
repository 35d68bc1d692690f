/** Inputs and outputs in few words: what each is called, what it means, in which unit. */
import { h } from "../core/dom.js";
import { prose } from "../core/prose.js";
import { shortened } from "./shortened.js";

/** @typedef {import("../core/card.js").Tensor} Tensor */

const MOST = 4;
const LONGEST = 120;

/**
 * A tensor in a phrase: "how far the object is (metres)"; its dtype where no card says more.
 * @param {Tensor} tensor
 */
export function phrase({ meaning, unit, dtype, labels }) {
  const of = labels.length && !meaning ? `one of ${labels.length} labels` : meaning || dtype;
  return shortened(unit ? `${of} (${unit})` : of, LONGEST);
}

/**
 * The first of them.
 * @param {string} title
 * @param {Tensor[]} tensors
 */
export function inShort(title, tensors) {
  const rest = tensors.length - MOST;
  const lines = tensors
    .slice(0, rest === 1 ? MOST + 1 : MOST)
    .map((each) => h("li", {}, h("code", {}, h("bdi", {}, shortened(each.name, LONGEST))), " ", h("bdi", {}, prose(phrase(each)))));
  if (rest > 1) lines.push(h("li", { class: "hint" }, `and ${rest} more`));
  return h("div", { class: "tensors" }, h("h3", {}, title), h("ul", { role: "list" }, lines));
}
