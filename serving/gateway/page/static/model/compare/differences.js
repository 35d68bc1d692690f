/**
 * What differs between two answers, output by output, in words. All functions are pure.
 *
 *     {age: 31.2}, {age: 29.1} ──differences──▶ [{name: "age", same: false, text: "age 2.1 years lower"}] ──sentence──▶ "Version 2 against version 1: age …"
 */
import { same, shown, units } from "../../answer/shown.js";
import { cut } from "../../core/cut.js";
import { number, percent } from "../../core/numbers.js";
import { shapeText } from "../../core/shapes.js";
import { flat, sizes, toNumber } from "../../core/values.js";

/** @typedef {import("../../core/card.js").Tensor} Tensor */
/** @typedef {import("../../core/service.js").Prediction} Prediction */
/** @typedef {{ name: string, same: boolean, text: string }} Difference */

const LONGEST = 80;

/**
 * @param {Tensor[]} outputs of either side
 * @param {Prediction} before
 * @param {Prediction} after
 * @returns {Difference[]} for each output that one of them has
 */
export function differences(outputs, before, after) {
  return outputs
    .filter(({ name }) => Object.hasOwn(before, name) || Object.hasOwn(after, name))
    .map((output) => {
      const text = difference(output, before, after);
      return { name: output.name, same: text === "", text };
    });
}

/**
 * All differences as one or two sentences.
 * @param {Difference[]} found
 * @param {string} one what the first answer is called, such as "Version 1"
 * @param {string} other
 */
export function sentence(found, one, other) {
  const names = found.filter((each) => each.same).map((each) => each.name);
  if (names.length === found.length) return found.length === 1 ? `Same answer: ${names[0]}.` : "Same answer, in all outputs.";
  const differs = `${other} against ${one.toLowerCase()}: ${found.filter((each) => !each.same).map((each) => each.text).join("; ")}.`;
  return names.length ? `${differs} Same: ${names.join(", ")}.` : differs;
}

/**
 * The names of the inputs in which two rows differ.
 * @param {Tensor[]} inputs
 * @param {import("../../core/card.js").Row} one
 * @param {import("../../core/card.js").Row} other
 */
export function differing(inputs, one, other) {
  return inputs.map(({ name }) => name).filter((name) => JSON.stringify(one[name]) !== JSON.stringify(other[name]));
}

/**
 * Empty where they are the same.
 * @param {Tensor} output
 * @param {Prediction} before
 * @param {Prediction} after
 */
function difference(output, before, after) {
  const { name } = output;
  if (!Object.hasOwn(after, name)) return `${name} is in the first answer only`;
  if (!Object.hasOwn(before, name)) return `${name} is in the second answer only`;
  const [one, other] = [flat(before[name]), flat(after[name])];
  if (one.length !== other.length) {
    return `${name} has the shape ${shapeText(sizes(after[name]))} instead of ${shapeText(sizes(before[name]))}`;
  }
  if (output.holds === "numbers") return ofNumbers(output, one.map(toNumber), other.map(toNumber));
  const places = one.flatMap((value, place) => (JSON.stringify(value) === JSON.stringify(other[place]) ? [] : [place]));
  if (!places.length) return "";
  if (one.length > 1) return `${name} at ${places.length} of ${one.length} places`;
  return `${name} ${said(other[0])} instead of ${said(one[0])}`;
}

/** @param {Tensor} output @param {number[]} one @param {number[]} other */
function ofNumbers(output, one, other) {
  const { name, labels } = output;
  const { unit } = units(output.unit);
  if (same(one, other)) return "";
  if (one.length === 1) return ofOne(output, unit, one[0], other[0]);
  const label = (/** @type {number} */ place) => labels[place] ?? String(place);
  if (isChances(one) && isChances(other)) {
    const [first, second] = [top(one), top(other)];
    if (first !== second) return `${name} ${label(second)} (${percent(other[second])}) instead of ${label(first)} (${percent(one[first])})`;
    const points = (other[first] - one[first]) * 100;
    if (Math.abs(points) >= 0.05) return `${name} ${label(first)} both times, ${size(points, "points")}`;
  }
  const gaps = one.map((value, place) => (same(value, other[place]) ? 0 : Math.abs(other[place] - value)));
  const most = gaps.findIndex(Number.isNaN) < 0 ? top(gaps) : gaps.findIndex(Number.isNaN);
  const where = labels.length === one.length ? label(most) : `place ${most + 1} of ${one.length}`;
  return `${name} most at ${where}: ${with_(unit, other[most])} instead of ${with_(unit, one[most])}`;
}

/** @param {Tensor} output @param {string} unit @param {number} one @param {number} other */
function ofOne(output, unit, one, other) {
  const { name } = output;
  if ([one, other].every((value) => ["chance", "bars"].includes(shown(output, value).kind))) return `${name} ${percent(other)} instead of ${percent(one)}`;
  if (!Number.isFinite(one) || !Number.isFinite(other)) return `${name} ${with_(unit, other)} instead of ${with_(unit, one)}`;
  return `${name} ${size(other - one, unit)}`;
}

/** @param {number} change @param {string} unit */
function size(change, unit) {
  return `${with_(unit, Number(Math.abs(change).toPrecision(3)))} ${change < 0 ? "lower" : "higher"}`;
}

/** @param {string} unit @param {number} value */
function with_(unit, value) {
  return unit ? `${number(value)} ${unit}` : number(value);
}

/** @param {number[]} values */
function isChances(values) {
  const sum = values.reduce((total, value) => total + value, 0);
  return values.every((value) => value >= 0 && value <= 1) && Math.abs(sum - 1) < 0.01;
}

/** @param {number[]} values */
function top(values) {
  return values.reduce((best, value, place) => (value > values[best] ? place : best), 0);
}

/** @param {unknown} value */
function said(value) {
  return cut(typeof value === "string" ? `“${value}”` : JSON.stringify(value), LONGEST);
}
