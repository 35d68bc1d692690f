/**
 * The table as files, with full values. All functions are pure.
 *
 *     columns of the file, then outputs, then `error` where a row has one
 *     CSV: a column for each number where the signature fixes how many, as the gateway's CSV has it (docs/bodies.md)
 *
 * A spreadsheet runs a cell that begins with = + - @ as a formula, and an answer may be a text that a stranger has chosen: in
 * CSV such a text gets an apostrophe before it. JSON lines hold every text as it is.
 */
import { shapeOfOne } from "../../core/shapes.js";
import { flat } from "../../core/values.js";
import { harmless, write } from "./csv.js";
import { cellOf } from "./records.js";

/** @typedef {import("../../core/card.js").Signature} Signature */
/** @typedef {import("../../core/card.js").Tensor} Tensor */
/** @typedef {import("./grid.js").Item} Item */

const MOST_FLAT = 100;

/**
 * @param {Signature} signature
 * @param {string[]} columns of the file
 * @param {Item[]} items
 * @returns {string}
 */
export function toJsonLines(signature, columns, items) {
  const { names, failed } = outputNames(signature, columns, items);
  return items
    .map(({ record, prediction, error }) => {
      const outputs = Object.fromEntries([...names].flatMap(([output, name]) => (prediction && Object.hasOwn(prediction, output.name) ? [[name, prediction[output.name]]] : [])));
      return `${JSON.stringify({ ...record.values, ...outputs, ...(error ? { [failed]: error } : {}) })}\n`;
    })
    .join("");
}

/**
 * @param {Signature} signature
 * @param {string[]} columns of the file
 * @param {Item[]} items
 * @returns {{ text: string, changed: number }} changed: texts that have got an apostrophe
 */
export function toCsv(signature, columns, items) {
  const { names, failed } = outputNames(signature, columns, items);
  const errors = items.some(({ error }) => error);
  const flatNames = new Map([...names].map(([output, name]) => [output, flatOf(output, name, signature.in_rows)]));
  let changed = 0;
  /** @param {unknown} value */
  const cell = (value) => {
    if (value === undefined || value === null) return "";
    if (typeof value === "number") return String(value);
    const text = typeof value === "string" ? value : JSON.stringify(value);
    const safe = harmless(text);
    if (safe !== text) changed += 1;
    return safe;
  };
  const header = [...columns, ...[...flatNames.values()].flat(), ...(errors ? [failed] : [])].map(cell);
  const lines = items.map(({ record, prediction, error }) => [
    ...columns.map((column) => cell(cellOf(record, column))),
    ...[...flatNames].flatMap(([output, flattened]) => cells(flattened, prediction?.[output.name])).map(cell),
    ...(errors ? [cell(error)] : []),
  ]);
  return { text: write([header, ...lines]), changed };
}

/**
 * What the outputs are called in the file, where a column of it may be called so already.
 * @param {Signature} signature
 * @param {string[]} columns
 * @param {Item[]} items
 */
function outputNames(signature, columns, items) {
  const taken = new Set(columns);
  /** @param {string} name */
  const free = (name) => {
    let chosen = name;
    while (taken.has(chosen)) chosen = `answer_${chosen}`;
    taken.add(chosen);
    return chosen;
  };
  const given = signature.outputs.filter((output) => items.some(({ prediction }) => prediction && Object.hasOwn(prediction, output.name)));
  return { names: new Map(given.map((output) => [output, free(output.name)])), failed: free("error") };
}

/** @param {Tensor} output @param {string} name @param {boolean} inRows */
function flatOf(output, name, inRows) {
  const shape = shapeOfOne(output, inRows);
  if (shape === null || shape.some((size) => size < 0)) return [name];
  const size = shape.reduce((product, each) => product * each, 1);
  if (size === 1 || size === 0 || size > MOST_FLAT) return [name];
  return Array.from({ length: size }, (_, at) => [name, ...placeOf(at, shape)].join("_"));
}

/** The place of an element within a shape. @param {number} at @param {number[]} shape */
function placeOf(at, shape) {
  const place = [];
  for (const size of [...shape].reverse()) {
    place.unshift(at % size);
    at = Math.floor(at / size);
  }
  return place;
}

/** @param {string[]} names @param {unknown} value */
function cells(names, value) {
  if (value === undefined) return names.map(() => undefined);
  const places = flat(value);
  if (names.length === 1) return [places.length === 1 ? places[0] : value];
  return names.map((_, at) => places[at]);
}
