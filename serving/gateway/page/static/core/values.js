/**
 * Values of tensors: what kind of editor one asks for, and nested lists. All functions are pure.
 *
 *     Tensor ──kindOf──▶ "pad"      [1, 2, 3, 4] ──nested──▶ [[1, 2], [3, 4]] ──flat──▶ [1, 2, 3, 4]
 *
 * A number that JSON has not is one of the words "NaN", "Infinity", "-Infinity".
 */
import { shapeOfOne } from "./shapes.js";

/** @typedef {import("./card.js").Tensor} Tensor */
/** @typedef {"text" | "number" | "boolean" | "pad" | "grid" | "picture" | "pixels" | "json"} Kind
 *
 * text: a string. number, boolean: one of them. pad: a small picture of one channel, to be drawn. grid: a few numbers
 * in rows and columns. picture: the bytes of a file. pixels: numbers of a picture, from a file. json: anything else.
 */

/** Cells of a grid that people may fill in; beyond, JSON is better. */
export const MOST_CELLS = 400;

/** Columns of a grid that a reader still finds the way in. */
const MOST_COLUMNS = 20;

const PAD_SIDES = { least: 6, most: 32 };

const OF_A_PICTURE = /pictur|pixel|image|img|photo|camera|draw|brightness|stroke|ink\b|frame/i;

/**
 * The editor for an input.
 * @param {Tensor} tensor
 * @param {boolean} inRows whether its signature takes instances
 * @returns {Kind}
 */
export function kindOf(tensor, inRows) {
  const shape = shapeOfOne(tensor, inRows);
  if (shape === null || tensor.holds === "other") return "json";
  const single = shape.every((size) => size === 1);
  if (tensor.holds === "text") return single ? "text" : "json";
  if (tensor.holds === "bytes") return single ? "picture" : "json";
  if (tensor.holds === "booleans") return single ? "boolean" : "json";
  if (single) return "number";
  if (padSides(shape) && (shape.length === 3 || isPicture(tensor))) return "pad";
  if (isPixels(shape, tensor)) return "pixels";
  return isGrid(shape) ? "grid" : "json";
}

/**
 * Whether the card's words tell of a picture: 64 numbers in a row may be one, or 64 facts of a customer.
 * @param {Tensor} tensor
 */
export function isPicture({ name, meaning, unit, values }) {
  return OF_A_PICTURE.test([name, meaning, unit, values].join(" "));
}

/**
 * Height and width of what can be drawn: (8, 8), (8, 8, 1), (28, 28), and (64,), row by row.
 * @param {number[]} shape of one row
 * @returns {[number, number] | null}
 */
export function padSides(shape) {
  const flat = shape.length === 3 && shape[2] === 1 ? shape.slice(0, 2) : shape;
  if (flat.length === 1) {
    const side = Math.sqrt(flat[0]);
    return Number.isInteger(side) && fits(side) ? [side, side] : null;
  }
  return flat.length === 2 && flat.every(fits) ? [flat[0], flat[1]] : null;
}

/** @param {number} side */
function fits(side) {
  return side >= PAD_SIDES.least && side <= PAD_SIDES.most;
}

/** @param {number[]} shape @param {Tensor} tensor */
function isPixels(shape, tensor) {
  const large = shape.slice(0, 2).every((size) => size < 0 || size >= PAD_SIDES.least);
  if (shape.length === 3) return large && (shape[2] === 1 || shape[2] === 3);
  return shape.length === 2 && large && isPicture(tensor);
}

/** @param {number[]} shape */
function isGrid(shape) {
  if (shape.length < 1 || shape.length > 2 || shape.includes(0)) return false;
  const cells = shape.reduce((product, size) => product * Math.max(size, 1), 1);
  return cells <= MOST_CELLS && (shape.length === 1 || shape[1] <= MOST_COLUMNS);
}

/**
 * A flat list in a shape: nested lists as JSON has them.
 * @param {unknown[]} flat
 * @param {number[]} shape
 * @returns {unknown}
 */
export function nested(flat, shape) {
  if (shape.length === 0) return flat[0];
  if (shape.length === 1) return flat;
  const step = flat.length / shape[0];
  return Array.from({ length: shape[0] }, (_, place) => nested(flat.slice(place * step, (place + 1) * step), shape.slice(1)));
}

/**
 * The places of nested lists in order.
 * @param {unknown} value
 * @returns {unknown[]}
 */
export function flat(value) {
  return Array.isArray(value) ? value.flat(Infinity) : [value];
}

/**
 * The sizes of nested lists, by their first places.
 * @param {unknown} value
 * @returns {number[]}
 */
export function sizes(value) {
  return Array.isArray(value) ? [value.length, ...(value.length ? sizes(value[0]) : [])] : [];
}

/**
 * Whether nested lists have the same sizes everywhere, and hold what is wanted and nothing else.
 * @param {unknown} value
 * @param {number[]} shape
 * @param {(element: unknown) => boolean} wanted
 * @returns {boolean}
 */
export function isNest(value, shape, wanted) {
  if (shape.length === 0) return wanted(value);
  return Array.isArray(value) && value.length === shape[0] && value.every((each) => isNest(each, shape.slice(1), wanted));
}

/**
 * Whether sizes are those of a shape, in which -1 is any.
 * @param {number[]} found
 * @param {number[]} shape
 */
export function fitsShape(found, shape) {
  return found.length === shape.length && shape.every((size, axis) => size < 0 || size === found[axis]);
}

const WORDS = new Set(["NaN", "Infinity", "-Infinity"]);

/**
 * Whether it is a number as JSON may carry it, which includes the words.
 * @param {unknown} value
 */
export function isNumber(value) {
  return typeof value === "number" || WORDS.has(/** @type {string} */ (value));
}

/**
 * A number as JSON may carry it, which includes the words of infinity.
 * @param {unknown} value
 */
export function toNumber(value) {
  return Number(value);
}
