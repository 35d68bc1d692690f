/**
 * The call that code is written for, and which of its values are too large to stand in code: these are read from files.
 *
 *     Call ──parts──▶ for each input: its value, or a File { name, what it holds }
 */
import { ending } from "../../../core/bytes.js";
import { flat } from "../../../core/values.js";
import { isWord, numbersText, withWords } from "../../../core/wire.js";
import { layout, Verbatim } from "./layout.js";
import { JSON_NOTATION } from "./literals.js";

/** @typedef {import("../../../core/card.js").Tensor} Tensor */
/**
 * @typedef {object} Call
 * @property {string} page its address, which ends in a slash
 * @property {string} grpc HOST:PORT of the gRPC port; empty: nobody has said
 * @property {boolean} keys whether the server asks for a key
 * @property {string} model
 * @property {number | null} version null: whichever answers
 * @property {import("../../../core/card.js").Signature} signature
 * @property {import("../../../core/card.js").Row} row
 * @property {import("../../../core/service.js").SentRequest} request by which the page has asked
 */
/** A file that the code reads. @typedef {{ name: string, holds: "bytes" | "json", content: string }} File bytes: in base64 */
/** @typedef {{ text: string, files: File[] }} Code */
/**
 * An input in the call. file: what its innermost value is read from, within so many lists.
 * @typedef {{ tensor: Tensor, value: unknown, file: File | null, depth: number }} Part
 */

/** Characters of an input that stand in code, and of all inputs together: no shell takes a word of more than 128 KiB. */
const MOST = { bytes: 256, values: 4000, all: 30_000 };

/** Stands in the text of a body for what comes from a file: no JSON text holds it. */
export const PLACE = "\0";

/**
 * The inputs of a call, in the order of the signature.
 * @param {Call} call
 * @returns {Part[]}
 */
export function parts({ signature, row }) {
  let left = MOST.all;
  const names = new Set();
  return signature.inputs
    .filter((tensor) => Object.hasOwn(row, tensor.name))
    .map((tensor) => {
      const value = row[tensor.name];
      const { inner, depth } = unwrapped(value);
      const base64 = bytesIn(inner);
      const json = tensor.holds === "numbers" ? numbersText(value, tensor) : JSON.stringify(value);
      const length = base64 === null ? json.length : base64.length;
      if (length <= Math.min(left, base64 === null ? MOST.values : MOST.bytes)) {
        left -= length;
        return { tensor, value, file: null, depth: 0 };
      }
      const file = /** @type {File} */ ({
        name: unused(tensor.name, base64 === null ? "json" : ending(base64), names),
        holds: base64 === null ? "json" : "bytes",
        content: base64 ?? json,
      });
      return { tensor, value, file, depth: base64 === null ? 0 : depth };
    });
}

/**
 * A file name that any system takes, and no other input of the call has.
 * @param {string} input
 * @param {string} end of the name
 * @param {Set<string>} names
 */
function unused(input, end, names) {
  const stem = input.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 60) || "input";
  let name = stem;
  for (let number = 2; names.has(name.toLowerCase()); number += 1) name = `${stem}_${number}`;
  names.add(name.toLowerCase());
  return `${name.replace(/^-/, "_")}.${end}`;
}

/**
 * The one value in lists of one.
 * @param {unknown} value
 */
function unwrapped(value) {
  let inner = value;
  let depth = 0;
  for (; Array.isArray(inner) && inner.length === 1; depth += 1) inner = inner[0];
  return { inner, depth };
}

/**
 * The base64 of bytes as JSON carries them; null for anything else.
 * @param {unknown} value
 * @returns {string | null}
 */
export function bytesIn(value) {
  const base64 = typeof value === "object" && value !== null ? /** @type {any} */ (value).b64 : null;
  return typeof base64 === "string" ? base64 : null;
}

/**
 * The value of an input in JSON: numbers that JSON has not stand bare.
 * @param {Part} part
 */
function inJson({ tensor, value }) {
  return tensor.holds === "numbers" ? withWords(value, tensor, (word) => new Verbatim(word)) : value;
}

/**
 * Whether JSON has all numbers of a call.
 * @param {Part[]} inputs
 */
export function isJson(inputs) {
  return !inputs.some(({ tensor, value }) => tensor.holds === "numbers" && flat(value).some((each) => isWord(each) || Object.is(each, -0)));
}

/**
 * A value within so many lists.
 * @param {unknown} value
 * @param {number} depth
 * @returns {unknown}
 */
export function nest(value, depth) {
  return depth === 0 ? value : [nest(value, depth - 1)];
}

/**
 * The body of the page's own request, with the inputs as they are written in code.
 * @param {Call} call
 * @param {Part[]} inputs
 * @param {(part: Part) => unknown} write
 * @returns {{ [name: string]: unknown }}
 */
export function bodyWith({ request, signature }, inputs, write) {
  const written = Object.fromEntries(inputs.map((part) => [part.tensor.name, write(part)]));
  return { ...request.body, ...(signature.in_rows ? { instances: [written] } : { inputs: written }) };
}

/**
 * The body as JSON, PLACE where a file's content stands.
 * @param {Call} call
 * @param {Part[]} inputs
 */
export function bodyText(call, inputs) {
  const body = bodyWith(call, inputs, (part) => {
    if (!part.file) return inJson(part);
    return nest(new Verbatim(part.file.holds === "bytes" ? `{"b64": "${PLACE}"}` : PLACE), part.depth);
  });
  return layout(body, JSON_NOTATION);
}
