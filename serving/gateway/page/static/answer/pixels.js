/** Numbers of pixels as a picture on a canvas. */
import { h } from "../core/dom.js";
import { number } from "../core/numbers.js";
import { toRgba } from "../core/pixels.js";
import { extent } from "./shown.js";

/**
 * How numbers of pixels become bytes: 0 to 1 and 0 to 255 as they are meant, anything else from its least to its greatest.
 * @param {number[]} values
 * @returns {{ from: number, to: number }}
 */
export function range(values) {
  const [least, greatest] = extent(values);
  if (least > greatest) return { from: 0, to: 1 };
  if (least >= 0 && greatest <= 1) return { from: 0, to: 1 };
  if (least >= 0 && greatest <= 255 && greatest > 32) return { from: 0, to: 255 };
  return { from: Math.min(0, least), to: greatest };
}

/**
 * @param {{ height: number, width: number, channels: number, values: number[] }} picture
 * @param {string} words
 */
export function canvas(picture, words) {
  const { height, width, channels, values } = picture;
  const { from, to } = range(values);
  const element = h("canvas", { class: "picture", height, width, role: "img", "aria-label": words });
  element.getContext("2d")?.putImageData(new ImageData(toRgba(values, channels, [from, to]), width, height), 0, 0);
  return h("figure", {}, element, h("figcaption", { class: "hint" }, `black is ${number(from)}, white is ${number(to)}`));
}
