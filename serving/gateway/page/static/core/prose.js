/**
 * What cards say in sentences, in which names stand between backticks, as in Markdown.
 *
 *     "`from_text` needs none" ──▶ [<code>from_text</code>, " needs none"]
 */
import { h } from "./dom.js";

/**
 * The pieces of a text; a backtick without another one stands for itself. Pure.
 * @param {string} text
 * @returns {{ text: string, code: boolean }[]}
 */
export function pieces(text) {
  return text
    .split(/`([^`\n]+)`/)
    .map((piece, place) => ({ text: piece, code: place % 2 === 1 }))
    .filter((piece) => piece.text);
}

/**
 * The same to be shown.
 * @param {string} text
 * @returns {(HTMLElement | string)[]}
 */
export function prose(text) {
  return pieces(text).map((piece) => (piece.code ? h("code", {}, piece.text) : piece.text));
}
