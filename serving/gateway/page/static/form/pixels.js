/**
 * Pictures as numbers: height × width × channels, in a range.
 *
 *     file ──bitmap──▶ sizeFor(own, shape) ──▶ RGBA ──fromRgba──▶ numbers; core/pixels.js shows them
 */
import { inRange } from "../core/range.js";

/** Pixels along the longer side of a picture whose size is open: more are many numbers to send. */
export const MOST_SIDE = 256;

/** How bright red, green and blue are to the eye. */
const LUMA = [0.299, 0.587, 0.114];

/**
 * Width and height in which a picture is sent: the input's where it has one, else its own, scaled down where it is large.
 * @param {[number, number]} own width and height
 * @param {number[]} shape height, width and perhaps channels; -1: any
 * @returns {[number, number]}
 */
export function sizeFor([width, height], shape) {
  const [rows, columns] = shape;
  const scale = Math.min(1, MOST_SIDE / Math.max(width, height));
  const free = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  if (rows > 0 && columns > 0) return [columns, rows];
  if (columns > 0) return [columns, Math.max(1, Math.min(MOST_SIDE, Math.round((height * columns) / width)))];
  if (rows > 0) return [Math.max(1, Math.min(MOST_SIDE, Math.round((width * rows) / height))), rows];
  return [free[0], free[1]];
}

/**
 * The numbers of pixels: colours as they are, or how bright they are for one channel.
 * @param {ArrayLike<number>} rgba four a pixel, 0 to 255
 * @param {number} channels 1 or 3
 * @param {[number, number]} range
 * @param {string} dtype
 * @returns {number[]}
 */
export function fromRgba(rgba, channels, range, dtype) {
  const numbers = [];
  for (let at = 0; at < rgba.length; at += 4) {
    const bright = [rgba[at], rgba[at + 1], rgba[at + 2]];
    const sent = channels === 3 ? bright : [bright.reduce((sum, each, colour) => sum + each * LUMA[colour], 0)];
    for (const each of sent) numbers.push(inRange(each / 255, range, dtype));
  }
  return numbers;
}
