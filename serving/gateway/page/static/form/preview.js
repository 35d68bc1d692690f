/**
 * A row in little, by which people tell examples apart: the first words of a text, a small drawing, a thumbnail, numbers.
 *
 *     previewOf(signature, row) ──▶ pieces to be put into a button
 */
import { pictureType } from "../core/bytes.js";
import { cut } from "../core/cut.js";
import { h, svg } from "../core/dom.js";
import { number } from "../core/numbers.js";
import { rangeOf } from "../core/range.js";
import { shapeOfOne } from "../core/shapes.js";
import { fitsShape, flat, isNest, isNumber, kindOf, padSides, sizes, toNumber } from "../core/values.js";
import { pixelPicture } from "./fields/pixels.js";

/** Characters of a text; the style cuts it where there is less room. */
const MOST_TEXT = 60;
const MOST_NUMBERS = 4;
const MOST_INPUTS = 3;

/**
 * What a row is like: pictures, and words.
 * @param {import("../core/card.js").Signature} signature
 * @param {import("../core/card.js").Row} row
 * @param {import("../core/card.js").Row[]} known all rows, whose numbers tell in which range pictures are
 * @returns {{ pictures: Element[], words: string }}
 */
export function previewOf(signature, row, known) {
  const pictures = [];
  const words = [];
  const several = signature.inputs.length > 1;
  for (const tensor of signature.inputs.slice(0, MOST_INPUTS)) {
    const value = row[tensor.name];
    const picture = pictureOf(tensor, signature.in_rows, value, known.map((each) => each[tensor.name]));
    if (picture) pictures.push(picture);
    else if (tensor.holds === "text" || tensor.holds === "bytes") words.push(wordsOf(value));
    else words.push(`${several ? `${tensor.name} ` : ""}${wordsOf(value)}`);
  }
  // A question tells rows apart sooner than the story that it is about.
  if (signature.inputs.every((tensor) => tensor.holds === "text")) words.sort((one, other) => one.length - other.length);
  return { pictures, words: words.filter(Boolean).join(" · ") };
}

/**
 * @param {import("../core/card.js").Tensor} tensor
 * @param {boolean} inRows
 * @param {unknown} value
 * @param {unknown[]} known
 * @returns {Element | null}
 */
function pictureOf(tensor, inRows, value, known) {
  const kind = kindOf(tensor, inRows);
  const shape = shapeOfOne(tensor, inRows) ?? [];
  const found = sizes(value);
  if (kind === "picture") {
    const b64 = /** @type {any} */ (flat(value)[0])?.b64;
    const type = typeof b64 === "string" && pictureType(b64);
    return type ? h("img", { src: `data:${type};base64,${b64}`, alt: "" }) : null;
  }
  if (kind !== "pad" && kind !== "pixels") return null;
  if (!fitsShape(found, shape) || found.includes(0) || !isNest(value, found, (each) => typeof each === "number")) return null;
  if (kind === "pixels") return pixelPicture(value, shape[2] ?? 1, rangeOf(tensor, known, [0, 255]), "");
  const [height, width] = padSides(shape) ?? [1, 1];
  return drawing(/** @type {number[]} */ (flat(value)), height, width, rangeOf(tensor, known, [0, 1]));
}

/** @param {number[]} values @param {number} height @param {number} width @param {[number, number]} range */
function drawing(values, height, width, [least, most]) {
  const cells = values.map((value, at) => {
    const share = Math.min(1, Math.max(0, (value - least) / (most - least)));
    return share > 0 && svg("rect", { x: at % width, y: Math.floor(at / width), width: 1, height: 1, "fill-opacity": share.toFixed(2) });
  });
  return svg("svg", { class: "drawing", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, cells);
}

/** @param {unknown} value */
function wordsOf(value) {
  const all = flat(value);
  if (typeof all[0] === "string" && !isNumber(all[0])) return cut(all[0], MOST_TEXT);
  if (!all.every(isNumber)) return typeof all[0] === "boolean" ? all.slice(0, MOST_NUMBERS).join(" ") : "bytes";
  const first = all.slice(0, MOST_NUMBERS).map((each) => number(toNumber(each), 3));
  return `${first.join(" ")}${all.length > MOST_NUMBERS ? " …" : ""}`;
}
