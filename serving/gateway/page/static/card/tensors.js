/** Inputs and outputs in few words: what each is called, what it means, in which unit. */
import { h } from "../core/dom.js";
import { prose } from "../core/prose.js";
import { shortened } from "./shortened.js";

/** @typedef {import("../core/card.js").Tensor} Tensor */

const MOST = 4;
const LONGEST = 120;

/**
 * A tensor in a phrase, without its name: "how far the object is (metres)"; its dtype where no card says more.
 * @param {Tensor} tensor
 */
export function phrase({ name, meaning, unit, dtype, labels }) {
  const known = meaning === name ? unit : meaning; // "age" needs not be told twice
  const of = labels.length && !known ? `one of ${labels.length} labels` : known || dtype;
  return shortened(unit && unit !== known ? `${of} (${unit})` : of, LONGEST);
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
