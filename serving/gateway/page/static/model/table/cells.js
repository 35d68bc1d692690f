/**
 * Values as a cell shows them, and by what they are sorted. All functions are pure.
 *
 *     [0.1, 0.9], labels ["no", "yes"] ──told──▶ "yes · 90.0 %"          ──keysOf──▶ ["yes", 0.9]
 */
import { headline, shown, words } from "../../answer/shown.js";
import { sizeOf } from "../../core/bytes.js";
import { cut } from "../../core/cut.js";
import { sizeText } from "../../core/numbers.js";
import { keyOfText } from "./sorting.js";

/** @typedef {import("../../core/card.js").Tensor} Tensor */
/** @typedef {import("./sorting.js").Keys} Keys */

const LONGEST = 160;

/**
 * A tensor's value in one line.
 * @param {Tensor} tensor
 * @param {unknown} value
 */
export function told(tensor, value) {
  return value === undefined || value === null || value === "" ? "" : cut(headline(tensor, value), LONGEST);
}

/**
 * By what a tensor's value is sorted: what its line says first.
 * @param {Tensor} tensor
 * @param {unknown} value
 * @returns {Keys}
 */
export function keysOf(tensor, value) {
  if (value === undefined || value === null) return null;
  const said = shown(tensor, value);
  switch (said.kind) {
    case "bars":
      return [keyOfText(said.bars[0].label), said.bars[0].value];
    case "number":
    case "chance":
      return said.value;
    case "flag":
      return Number(said.value);
    case "text":
      return keyOfText(said.text);
    case "strip":
      return said.values;
    default:
      return keyOfText(words(said));
  }
}

/**
 * A value that belongs to no tensor: of a column that is carried along.
 * @param {unknown} value
 */
export function plain(value) {
  if (value === undefined || value === null) return "";
  if (typeof value === "object" && "b64" in value) return sizeText(sizeOf(String(value.b64)));
  return cut(typeof value === "string" ? value : JSON.stringify(value), LONGEST);
}

/** @param {unknown} value @returns {Keys} */
export function keysOfPlain(value) {
  return typeof value === "number" ? value : keyOfText(plain(value));
}
