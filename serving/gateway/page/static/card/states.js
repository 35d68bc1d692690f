/** The states of versions, as a list whose words, and not colours alone, say how each one does. */
import { h } from "../core/dom.js";
import { inWords, stateOf } from "./versions.js";

/** @typedef {import("../core/card.js").Version} Version */

/**
 * What matters of them, shortly.
 * @param {Version[]} versions
 */
export function states(versions) {
  return list(inWords(versions));
}

/**
 * Each of them.
 * @param {Version[]} versions
 */
export function allStates(versions) {
  return list(versions.map(stateOf));
}

/** @param {import("./versions.js").Sentence[]} sentences */
function list(sentences) {
  return h("ul", { class: "states", role: "list" }, sentences.map(({ text, kind }) => h("li", { class: `state ${kind}` }, h("bdi", {}, text))));
}
