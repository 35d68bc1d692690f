/**
 * Between which numbers an input lies: by its dtype, by what its card says in words, by values that are known.
 * All functions are pure.
 *
 *     "0 (paper) to 16 (ink)" ──rangeOf──▶ [0, 16] ──inRange(0.5)──▶ 8
 */
import { flat } from "./values.js";

/** @typedef {import("./card.js").Tensor} Tensor */

/**
 * The least and most of a dtype of whole numbers; null for others.
 * @param {string} dtype
 */
export function wholeRange(dtype) {
  const found = /^(u?)int(8|16|32|64)$/.exec(dtype);
  if (!found) return null;
  const bits = BigInt(found[2]);
  const most = found[1] ? 2n ** bits - 1n : 2n ** (bits - 1n) - 1n;
  return { least: found[1] ? 0n : -most - 1n, most };
}

/**
 * The least and most number that an input usually holds: as the card says in words, else as known values have it.
 * @param {Tensor} tensor
 * @param {unknown[]} known values of it
 * @param {[number, number]} otherwise
 * @returns {[number, number]}
 */
export function rangeOf(tensor, known, otherwise) {
  const said = /(-?\d+(?:\.\d+)?)\s*(?:\([^)]*\)\s*)?(?:to|and|or|–|-|\.{2,3}|…)\s*(-?\d+(?:\.\d+)?)/i.exec(tensor.values);
  if (said && Number(said[1]) < Number(said[2])) return [Number(said[1]), Number(said[2])];
  let [least, most] = [Infinity, -Infinity];
  for (const value of known.flatMap(flat)) {
    if (typeof value !== "number") continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  if (least < most) return [Math.min(0, least), roundLimit(most)];
  const whole = wholeRange(tensor.dtype);
  return whole && otherwise[1] <= 1 ? [0, Number(whole.most < 255n ? whole.most : 255n)] : otherwise;
}

/** The limit that a few values come near: of 0.98 it is 1, of 251 it is 255. @param {number} most */
function roundLimit(most) {
  if (most > 0 && most <= 1) return 1;
  return most > 100 && most <= 255 ? 255 : most;
}

/**
 * A value in a range as it is sent: whole where the range has whole steps enough.
 * @param {number} share 0 to 1 of the range
 * @param {[number, number]} range
 * @param {string} dtype
 */
export function inRange(share, [least, most], dtype) {
  const value = least + share * (most - least);
  return most - least > 2 || wholeRange(dtype) ? Math.round(value) : Number(value.toFixed(3));
}
