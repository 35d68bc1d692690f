/** Shapes of tensors. All functions are pure. */

/** @typedef {import("./card.js").Tensor} Tensor */

/**
 * The shape without the axis of rows.
 * @param {Tensor} tensor
 * @param {boolean} inRows whether its signature takes instances
 * @returns {number[] | null} null: any rank
 */
export function shapeOfOne(tensor, inRows) {
  return tensor.shape && inRows ? tensor.shape.slice(1) : tensor.shape;
}

/**
 * A shape as it is written: (any, 64).
 * @param {number[] | null} shape
 */
export function shapeText(shape) {
  return shape === null ? "any shape" : `(${shape.map((size) => (size < 0 ? "any" : size)).join(", ")})`;
}
