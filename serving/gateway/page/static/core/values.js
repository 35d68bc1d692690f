/**
 * Values of tensors: what kind of editor one asks for, and the way between what people write and what is sent.
 * All functions are pure.
 */
import { shapeOfOne } from "./card.js";

/** @typedef {import("./card.js").Tensor} Tensor */
/** @typedef {"text" | "number" | "boolean" | "pad" | "grid" | "picture" | "pixels" | "json"} Kind
 *
 * text: a string. number, boolean: one of them. pad: a small picture of one channel, to be drawn. grid: a few numbers
 * in rows and columns. picture: the bytes of a file. pixels: numbers of a picture with three channels, from a file.
 * json: anything else.
 */

/** Cells of a grid that people may fill in; beyond, JSON is better. */
export const MOST_CELLS = 400;

const PAD_SIDES = { least: 6, most: 32 };

/**
 * The editor for an input.
 * @param {Tensor} tensor
 * @param {boolean} inRows whether its signature takes instances
 * @returns {Kind}
 */
export function kindOf(tensor, inRows) {
  const shape = shapeOfOne(tensor, inRows);
  if (shape === null || tensor.holds === "other") return "json";
  const size = shape.reduce((product, each) => product * each, 1);
  const single = shape.every((each) => each === 1);
  if (tensor.holds === "text") return single ? "text" : "json";
  if (tensor.holds === "bytes") return single ? "picture" : "json";
  if (tensor.holds === "booleans") return single ? "boolean" : "json";
  if (single) return "number";
  if (padSides(shape)) return "pad";
  if (shape.length === 3 && shape[2] === 3) return "pixels";
  if (shape.every((each) => each > 0) && size <= MOST_CELLS) return "grid";
  if (shape.length === 1) return "grid"; // of any length: grows as it is filled
  return "json";
}

/**
 * Height and width of what can be drawn: (8, 8), (8, 8, 1), (28, 28), and 64 numbers in a row that are pixels by name.
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
 * A number as JSON may carry it, which includes the words of infinity.
 * @param {unknown} value
 */
export function toNumber(value) {
  return Number(value);
}
