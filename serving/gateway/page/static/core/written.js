/**
 * What people write, read as values: numbers, lines of numbers, JSON. All functions are pure; their errors are sentences.
 *
 *     "1e-3" ──readNumber──▶ 0.001      "1,2\n3,4" ──readJson──▶ [[1, 2], [3, 4]]      "1\t2" ──block──▶ [["1", "2"]]
 */
import { cut } from "./cut.js";
import { wholeRange } from "./range.js";
import { shapeOfOne } from "./shapes.js";
import { flat, nested } from "./values.js";

/** @typedef {import("./card.js").Tensor} Tensor */

/**
 * A number as it is edited: all its digits.
 * @param {unknown} value
 */
export function numberText(value) {
  return Object.is(value, -0) ? "-0" : String(value);
}

/** Of what somebody has written, in a message. */
const MOST_SAID = 40;
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const LARGEST = { half: 65504, float16: 65504, bfloat16: 3.3895313892515355e38, float: 3.4028234663852886e38, float32: 3.4028234663852886e38 };

/**
 * What somebody has written for a number of a dtype. Throws Error, whose message says what is wrong.
 * @param {string} text
 * @param {string} dtype
 * @returns {number | string} a word where it is no finite number
 */
export function readNumber(text, dtype) {
  const written = text.trim().replace(/^[\u2212\u2013]/, "-");
  if (!written) throw new Error("a number is missing here");
  const whole = wholeRange(dtype);
  const word = wordOf(written);
  if (word && whole) throw new Error(`${dtype} has no ${written}: a whole number is expected`);
  if (word) return word;
  if (/^[+-]?\d+,\d+$/.test(written)) throw new Error(`"${written}" has a comma: write the decimals after a point, ${written.replace(",", ".")}`);
  if (!DECIMAL.test(written)) throw new Error(`"${cut(written, MOST_SAID)}" is no number`);
  const value = Number(written);
  if (whole) {
    if (!Number.isInteger(value)) throw new Error(`${cut(written, MOST_SAID)} is no whole number, which ${dtype} takes`);
    if (value < whole.least || value > whole.most) throw new Error(`${cut(written, MOST_SAID)} is beyond ${dtype}, which goes from ${whole.least} to ${whole.most}`);
    if (!Number.isSafeInteger(value)) throw new Error(`${cut(written, MOST_SAID)} has more digits than this page can send without loss`);
    return value;
  }
  const most = LARGEST[/** @type {keyof typeof LARGEST} */ (dtype)] ?? Number.MAX_VALUE;
  if (Math.abs(value) > most) throw new Error(`${cut(written, MOST_SAID)} is beyond ${dtype}, whose largest number is ${most}; Infinity can be written so`);
  return value;
}

/** @param {string} text */
function wordOf(text) {
  const found = /^([+-]?)(nan|inf(?:inity)?)$/i.exec(text);
  if (!found) return null;
  if (found[2].toLowerCase() === "nan") return "NaN";
  return found[1] === "-" ? "-Infinity" : "Infinity";
}

/**
 * What somebody has written for any value: JSON, which may have bare NaN and Infinity, or lines of numbers with commas,
 * semicolons or tabs. Throws Error.
 * @param {string} text
 * @param {Tensor} tensor
 * @param {boolean} inRows
 * @returns {unknown}
 */
export function readJson(text, tensor, inRows) {
  if (!text.trim()) throw new Error("a value is missing here");
  const value = parsed(text, tensor, inRows);
  const unsafe = tensor.holds === "numbers" && wholeRange(tensor.dtype) && flat(value).find((each) => typeof each === "number" && Math.abs(each) > Number.MAX_SAFE_INTEGER);
  if (unsafe) throw new Error(`${unsafe} has more digits than this page can send without loss`);
  return value;
}

/** @param {string} text @param {Tensor} tensor @param {boolean} inRows @returns {unknown} */
function parsed(text, tensor, inRows) {
  try {
    return JSON.parse(text);
  } catch (error) {
    const lines = tensor.holds === "numbers" ? block(text) : null;
    if (lines && lines.flat().every((cell) => DECIMAL.test(cell) || wordOf(cell))) return shaped(lines, tensor, inRows);
    try {
      return JSON.parse(text.replace(/("(?:[^"\\]|\\.)*")|-?\bInfinity\b|\bNaN\b/g, (found, quoted) => quoted ?? `"${found}"`));
    } catch {
      throw new Error(`this is not JSON: ${/** @type {Error} */ (error).message}`);
    }
  }
}

/**
 * Lines of cells, as spreadsheets and files have them: tabs, semicolons, commas or blanks between.
 * @param {string} text
 * @returns {string[][]}
 */
export function block(text) {
  const lines = text.replace(/\r\n?/g, "\n").replace(/\n+$/, "").split("\n");
  const separator = ["\t", ";", ","].find((each) => text.includes(each)) ?? /\s+/;
  return lines.map((line) => (separator instanceof RegExp ? line.trim() : line).split(separator).map((cell) => cell.trim()));
}

/** Cells in the shape that the input takes: one line for a list, all cells in order where each size is known. @param {string[][]} lines @param {Tensor} tensor @param {boolean} inRows */
function shaped(lines, tensor, inRows) {
  const shape = shapeOfOne(tensor, inRows);
  const numbers = lines.map((line) => line.map((cell) => wordOf(cell) ?? Number(cell)));
  const all = numbers.flat();
  if (shape?.length === 1) return all;
  if (shape?.length === 0 && all.length === 1) return all[0];
  const whole = shape && shape.length > 2 && shape.every((size) => size > 0);
  return whole && all.length === shape.reduce((product, size) => product * size, 1) ? nested(all, shape) : numbers;
}
