/**
 * Values as text in the notation of a language, broken into lines as people break them. All functions are pure.
 *
 *     { text: ["…"], pixels: [0, 3, …] } ──layout(value, JSON_NOTATION)──▶ {"text": ["…"], ⏎ "pixels": [0, 3, ⏎ 7, …]}
 */

/**
 * How a language writes values.
 * @typedef {object} Notation
 * @property {(value: unknown) => string} leaf anything that is neither a list nor an object
 * @property {(name: string) => string} key with its colon
 * @property {string} inside what stands within the braces of an object on one line
 */

/** Text that stands for itself in the language. */
export class Verbatim {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
  }
}

const WIDTH = 72;
const STEP = "  ";

/**
 * @param {unknown} value
 * @param {Notation} notation
 * @param {string} [margin] of all lines but the first
 * @param {string} [step] by which what is within stands further right
 * @returns {string}
 */
export function layout(value, notation, margin = "", step = STEP) {
  const line = oneLine(value, notation, WIDTH - margin.length);
  if (line !== null) return line;
  const inner = margin + step;
  if (Array.isArray(value)) {
    const parts = value.map((each) => layout(each, notation, inner, step));
    const short = value.every((each) => typeof each === "number" || typeof each === "boolean");
    return `[\n${inner}${short ? filled(parts, inner) : parts.join(`,\n${inner}`)}\n${margin}]`;
  }
  if (isObject(value)) {
    const parts = Object.entries(value).map(([name, each]) => notation.key(name) + layout(each, notation, inner, step));
    return `{\n${inner}${parts.join(`,\n${inner}`)}\n${margin}}`;
  }
  return leaf(value, notation);
}

/**
 * The value on one line; null where that is longer than so many characters.
 * @param {unknown} value
 * @param {Notation} notation
 * @param {number} most
 * @returns {string | null}
 */
function oneLine(value, notation, most) {
  if (!Array.isArray(value) && !isObject(value)) {
    const text = leaf(value, notation);
    return text.length <= most ? text : null;
  }
  const entries = Array.isArray(value) ? value.map((each) => /** @type {[string, unknown]} */ (["", each])) : Object.entries(value);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const inside = Array.isArray(value) || entries.length === 0 ? "" : notation.inside;
  const parts = [];
  let left = most - 2 - 2 * inside.length;
  for (const [name, each] of entries) {
    const key = Array.isArray(value) ? "" : notation.key(name);
    const text = oneLine(each, notation, left - key.length);
    if (text === null) return null;
    parts.push(key + text);
    left -= key.length + text.length + 2;
    if (left < -2) return null;
  }
  return open + inside + parts.join(", ") + inside + close;
}

/**
 * Short things, as many on a line as fit.
 * @param {string[]} parts
 * @param {string} margin
 */
function filled(parts, margin) {
  const lines = [];
  let line = "";
  for (const part of parts) {
    if (line && margin.length + line.length + part.length + 2 > WIDTH) {
      lines.push(line);
      line = "";
    }
    line += (line && ", ") + part;
  }
  return [...lines, line].join(`,\n${margin}`);
}

/** @param {unknown} value @param {Notation} notation */
function leaf(value, notation) {
  return value instanceof Verbatim ? value.text : notation.leaf(value);
}

/** @param {unknown} value @returns {value is { [name: string]: unknown }} */
function isObject(value) {
  return typeof value === "object" && value !== null && !(value instanceof Verbatim);
}
