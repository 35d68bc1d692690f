/**
 * The columns of a table as the inputs of a signature, by the rules of CSV bodies (docs/bodies.md). All functions are pure.
 *
 *     Signature, ["id", "x_0", "x_1"] ──planOf──▶ {inputs: {x: ["x_0", "x_1"]}, carried: ["id"]} ──rowOf──▶ {x: [0.5, 1]}
 */
import { cut } from "../../core/cut.js";
import { shapeOfOne } from "../../core/shapes.js";
import { nested } from "../../core/values.js";
import { BrokenFile } from "./csv.js";
import { cellOf, listed } from "./records.js";

/** @typedef {import("../../core/card.js").Row} Row */
/** @typedef {import("../../core/card.js").Signature} Signature */
/** @typedef {import("../../core/card.js").Tensor} Tensor */
/** @typedef {import("./records.js").FileRecord} FileRecord */
/** @typedef {import("./records.js").Table} Table */
/** @typedef {{ inputs: Map<Tensor, string[]>, carried: string[] }} Plan columns of each input; those of none, which go along */

/** A row has not what an input takes. */
export class BadRow extends Error {}

/**
 * @param {Signature} signature
 * @param {string[]} columns
 * @returns {Plan} Throws BrokenFile where an input has no column
 */
export function planOf(signature, columns) {
  const inputs = new Map(signature.inputs.map((tensor) => [tensor, columns.includes(tensor.name) ? [tensor.name] : sideBySide(tensor.name, columns)]));
  const used = new Set([...inputs.values()].flat());
  const carried = columns.filter((column) => !used.has(column));
  const missing = [...inputs].filter(([, found]) => !found.length).map(([tensor]) => tensor.name);
  if (missing.length) {
    const hints = missing.flatMap((name) => {
      const near = nearest(name, carried);
      return near === null ? [] : [`“${near}” may be meant for ${name}`];
    });
    const what = missing.length === 1 ? `no column for the input ${listed(missing)}` : `no columns for the inputs ${listed(missing)}`;
    throw new BrokenFile(`there is ${what}; there are ${listed(columns)}${hints.length ? `. ${hints.join("; ")}` : ""}`);
  }
  return { inputs, carried };
}

/**
 * The row that is asked. Throws BadRow.
 * @param {Plan} plan
 * @param {FileRecord} record
 * @param {boolean} texts whether its values are the texts of cells
 * @param {boolean} inRows whether the signature takes instances
 * @returns {Row}
 */
export function rowOf(plan, record, texts, inRows) {
  if (record.error) throw new BadRow(record.error);
  return Object.fromEntries(
    [...plan.inputs].map(([tensor, columns]) => {
      const shape = shapeOfOne(tensor, inRows);
      const alone = columns.length === 1;
      const values = columns.map((column) => {
        const value = cellOf(record, column);
        if (value === undefined || value === null) throw new BadRow(`${tensor.name} has no value: ${listed([column])} is ${value === null ? "null" : "missing"} here`);
        return texts ? ofText(tensor, column, String(value), !alone || takesSingle(shape)) : value;
      });
      return [tensor.name, shaped(alone ? values[0] : values, shape)];
    }),
  );
}

/**
 * The name among others that one letter or two make of it; null: none is near.
 * @param {string} name
 * @param {string[]} others
 */
export function nearest(name, others) {
  const plain = (/** @type {string} */ text) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
  const ranked = others.map((other) => ({ other, far: distance(plain(name), plain(other)) })).sort((one, two) => one.far - two.far);
  return ranked.length && ranked[0].far <= Math.max(1, name.length / 3) ? ranked[0].other : null;
}

/** @param {number[] | null} shape of one row */
function takesSingle(shape) {
  return shape === null || shape.every((size) => size === 1);
}

/**
 * The value of a cell.
 * @param {Tensor} tensor
 * @param {string} column
 * @param {string} text
 * @param {boolean} single whether a single value can be the row
 */
function ofText(tensor, column, text, single) {
  const strings = tensor.holds === "text" || tensor.holds === "bytes";
  if (strings && single) return text.startsWith('{"b64"') ? (json(text) ?? text) : text;
  const bare = text.trim();
  if (!bare) throw new BadRow(`${tensor.name} has no value: ${listed([column])} is empty here`);
  if (strings || /^[[{]/.test(bare)) {
    const value = json(bare);
    if (value === undefined) throw new BadRow(`${tensor.name} is no JSON: ${quoted(bare)}; a cell of several values is a list such as ${strings ? '["to", "be"]' : "[1, 2.5]"}`);
    return value;
  }
  const value = tensor.holds === "booleans" ? TRUTHS.get(bare.toLowerCase()) : ofNumber(tensor, bare);
  if (value === undefined && /^[+-]?\d+,\d+$/.test(bare)) throw new BadRow(`${tensor.name} is ${quoted(bare)}, with a comma: write the decimals after a point, ${bare.replace(",", ".")}`);
  if (value === undefined) throw new BadRow(`${tensor.name} is the text ${quoted(bare)}; it takes ${tensor.dtype}`);
  return value;
}

const TRUTHS = new Map([["true", true], ["false", false], ["1", true], ["0", false]]);
const WHOLE = /^[+-]?\d{1,40}$/;
const DECIMAL = /^[+-]?(?:\d{1,400}\.?\d{0,400}|\.\d{1,400})(?:e[+-]?\d{1,9})?$/i;

/** @param {Tensor} tensor @param {string} text */
function ofNumber(tensor, text) {
  const float = /float|double|half/.test(tensor.dtype);
  if (!float) {
    if (!WHOLE.test(text)) return undefined;
    const value = Number(text);
    if (!Number.isSafeInteger(value)) throw new BadRow(`${tensor.name} is ${quoted(text)}, which a browser would round; signet score keeps it`);
    return value;
  }
  const word = /^([+-]?)(nan|inf|infinity)$/i.exec(text);
  if (word) return word[2].toLowerCase() === "nan" ? "NaN" : `${word[1] === "-" ? "-" : ""}Infinity`;
  if (!DECIMAL.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : value > 0 ? "Infinity" : "-Infinity";
}

/**
 * A flat list of numbers in the shape that has room for just so many.
 * @param {unknown} value
 * @param {number[] | null} shape
 */
function shaped(value, shape) {
  if (!Array.isArray(value) || !shape || shape.length < 2 || shape.some((size) => size < 0)) return value;
  const fits = value.length === shape.reduce((product, size) => product * size, 1);
  return fits && !value.some(Array.isArray) ? nested(value, shape) : value;
}

/**
 * x_0, x_1 …, or x_0_0, x_0_1 …, in the order of the input's numbers; empty where there are none. Throws BrokenFile for gaps.
 * @param {string} name
 * @param {string[]} columns
 */
function sideBySide(name, columns) {
  const found = columns.flatMap((column) => {
    const end = column.startsWith(`${name}_`) ? column.slice(name.length + 1) : "";
    return /^(?:0|[1-9]\d{0,6})(?:_(?:0|[1-9]\d{0,6}))*$/.test(end) ? [{ column, place: end.split("_").map(Number) }] : [];
  });
  if (!found.length) return [];
  found.sort((one, two) => one.place.map((size, at) => size - (two.place[at] ?? -1)).find((gap) => gap !== 0) ?? -1);
  const sizes = found[found.length - 1].place.map((size) => size + 1);
  const whole = found.every(({ place }, at) => place.length === sizes.length && place.reduce((sum, each, axis) => sum * sizes[axis] + each, 0) === at);
  if (!whole || sizes.reduce((product, size) => product * size, 1) !== found.length) {
    throw new BrokenFile(`there are ${found.length} columns ${name}_N, but not all from ${name}_0 on`);
  }
  return found.map(({ column }) => column);
}

/** @param {string} text @returns {any} undefined: it is none */
function json(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @param {string} text */
function quoted(text) {
  return `“${cut(text, 40)}”`;
}

/** How many letters have to change. @param {string} one @param {string} other */
function distance(one, other) {
  if (one.length > 60 || other.length > 60) return Infinity;
  let above = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let row = 1; row <= one.length; row += 1) {
    const here = [row];
    for (let at = 1; at <= other.length; at += 1) {
      here.push(Math.min(above[at] + 1, here[at - 1] + 1, above[at - 1] + (one[row - 1] === other[at - 1] ? 0 : 1)));
    }
    above = here;
  }
  return above[other.length];
}
