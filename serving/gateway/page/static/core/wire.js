/**
 * Rows as JSON that the server takes: numbers that JSON has not stand bare in it, NaN, as TensorFlow Serving's dialect has them,
 * and a zero keeps its minus where its dtype has one.
 *
 *     { x: ["NaN", 0.5] } ──bodyText──▶ {"x": [NaN, 0.5]}          where x holds numbers; a text "NaN" stays a text
 *     {"id": 9007199254740993} ──readAnswer──▶ { id: "9007199254740993" }
 */

import { wholeRange } from "./range.js";

/** @typedef {import("./card.js").Tensor} Tensor */

/** Of a text of JSON: its strings and its numbers. */
const SCALARS = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Before a word, until it stands bare: no text of a user has it. */
const MARK = `\ue000${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
const MARKED = new RegExp(`"${MARK}(NaN|-?Infinity|-0\\.0)"`, "g");

/**
 * Whether a value stands for a number that JSON has not.
 * @param {unknown} value
 * @returns {value is "NaN" | "Infinity" | "-Infinity"}
 */
export function isWord(value) {
  return value === "NaN" || value === "Infinity" || value === "-Infinity";
}

/**
 * A value of an input of numbers, with something else for what JSON.stringify does not write in it: the words, and −0.
 * @param {unknown} value
 * @param {Tensor} tensor
 * @param {(word: string) => unknown} replace
 * @returns {unknown}
 */
export function withWords(value, tensor, replace) {
  if (Array.isArray(value)) return value.map((each) => withWords(each, tensor, replace));
  if (Object.is(value, -0) && !wholeRange(tensor.dtype)) return replace("-0.0");
  return isWord(value) ? replace(value) : value;
}

/**
 * The JSON of a value of an input of numbers.
 * @param {unknown} value
 * @param {Tensor} tensor
 */
export function numbersText(value, tensor) {
  return bare(withWords(value, tensor, (word) => MARK + word));
}

/**
 * The JSON of a request's body.
 * @param {{ [name: string]: unknown }} body
 * @param {import("./card.js").Signature} signature
 */
export function bodyText(body, signature) {
  const text = JSON.stringify(body);
  if (!/"(NaN|-?Infinity)"/.test(text) && !holdsMinusZero(body)) return text;
  const numbers = new Map(signature.inputs.filter((tensor) => tensor.holds === "numbers").map((tensor) => [tensor.name, tensor]));
  /** @param {{ [name: string]: unknown }} row */
  const marked = (row) =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => {
        const tensor = numbers.get(name);
        return [name, tensor ? withWords(value, tensor, (word) => MARK + word) : value];
      }),
    );
  const { instances, inputs } = /** @type {{ instances?: { [name: string]: unknown }[], inputs?: { [name: string]: unknown } }} */ (body);
  return bare({ ...body, ...(instances && { instances: instances.map(marked) }), ...(inputs && { inputs: marked(inputs) }) });
}

/**
 * What the JSON of an answer says. Whole numbers of 64 bits that JavaScript would round are texts of their digits.
 * @param {string} text
 * @param {import("./card.js").Signature} signature
 * @returns {any}
 */
export function readAnswer(text, signature) {
  const long = signature.outputs.some(({ dtype }) => dtype === "int64" || dtype === "uint64") && /\d{16}/.test(text);
  if (!long) return JSON.parse(text);
  return JSON.parse(text.replace(SCALARS, (scalar) => (/^-?\d{16,}$/.test(scalar) && !Number.isSafeInteger(Number(scalar)) ? `"${scalar}"` : scalar)));
}

/** Without a copy of what may be many pictures. @param {unknown} value @returns {boolean} */
function holdsMinusZero(value) {
  if (Array.isArray(value)) return value.some(holdsMinusZero);
  return typeof value === "object" && value !== null ? Object.values(value).some(holdsMinusZero) : Object.is(value, -0);
}

/** @param {unknown} value */
function bare(value) {
  return JSON.stringify(value).replace(MARKED, "$1");
}
