/**
 * Values as a cell shows them, and by what they are sorted. All functions are pure.
 *
 *     [0.1, 0.9], labels ["no", "yes"] ──▶ "yes 90.0 %"          a list of 64 numbers ──▶ "64: 0, 5, 13, 9 …"
 */
import { number, percent } from "../../core/numbers.js";
import { flat, toNumber } from "../../core/values.js";
import { keyOfText } from "./sorting.js";

/** @typedef {import("../../core/card.js").Tensor} Tensor */
/** @typedef {import("./sorting.js").Keys} Keys */

const LONGEST = 160;
const SHOWN = 4;

/**
 * A tensor's value in one line.
 * @param {Tensor} tensor
 * @param {unknown} value
 * @returns {string}
 */
export function brief(tensor, value) {
  if (value === undefined || value === null) return "";
  const places = flat(value);
  if (tensor.holds === "numbers") {
    const numbers = places.map(toNumber);
    if (numbers.length === 1) return numberOrText(places[0]);
    const best = top(numbers);
    if (best >= 0) return `${tensor.labels[best] ?? best} ${percent(numbers[best])}`;
  }
  if (places.length === 1) return text(places[0]);
  return shortened(`${places.length}: ${places.slice(0, SHOWN).map((each) => (typeof each === "number" ? number(each) : text(each))).join(", ")}${places.length > SHOWN ? " …" : ""}`);
}

/**
 * By what a tensor's value is sorted.
 * @param {Tensor} tensor
 * @param {unknown} value
 * @returns {Keys}
 */
export function keysOf(tensor, value) {
  if (value === undefined || value === null) return null;
  const places = flat(value);
  if (tensor.holds === "numbers") {
    const numbers = places.map(toNumber);
    const best = numbers.length > 1 ? top(numbers) : -1;
    return best < 0 ? numbers : [tensor.labels[best] ?? best, numbers[best]];
  }
  return places.map((each) => (typeof each === "boolean" ? Number(each) : keyOfText(text(each))));
}

/**
 * A value that belongs to no tensor: of a column that is carried along.
 * @param {unknown} value
 */
export function plain(value) {
  return value === undefined || value === null ? "" : text(value);
}

/** @param {unknown} value @returns {Keys} */
export function keysOfPlain(value) {
  return typeof value === "number" ? value : keyOfText(plain(value));
}

/** @param {unknown} value */
function text(value) {
  if (value !== null && typeof value === "object" && "b64" in value) return `${Math.floor((String(value.b64).length * 3) / 4).toLocaleString("en")} bytes`;
  return shortened(typeof value === "string" ? value : JSON.stringify(value));
}

/** @param {unknown} value */
function numberOrText(value) {
  const read = typeof value === "number" ? value : Number.NaN;
  return Number.isNaN(read) ? text(value) : number(read);
}

/** @param {string} words */
function shortened(words) {
  return words.length > LONGEST ? `${words.slice(0, LONGEST)}…` : words;
}

/** The place of the largest chance; -1: they are no chances. @param {number[]} numbers */
function top(numbers) {
  const sum = numbers.reduce((total, value) => total + value, 0);
  if (!numbers.every((value) => value >= 0 && value <= 1) || Math.abs(sum - 1) > 0.01) return -1;
  return numbers.reduce((best, value, place) => (value > numbers[best] ? place : best), 0);
}
