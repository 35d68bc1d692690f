/**
 * What a part does to an answer: the answer to the row itself against the answer without the part.
 *
 *     answer ──readings──▶ what can be said of each output ──effect(base, other)──▶ delta, changed, words ──heat──▶ −1 to 1
 *
 * An answer in words and its chance are one reading, as in the answer above. delta is positive where the part raises the
 * answer: without it the answer is lower, or less certain. All functions are pure.
 */
import { items, shown, single, words } from "../../../answer/shown.js";
import { cut } from "../../../core/cut.js";
import { number, percent, points, quantity } from "../../../core/numbers.js";
import { flat } from "../../../core/values.js";

/** @typedef {import("../../../core/card.js").Signature} Signature */
/** @typedef {import("../../../core/card.js").Tensor} Tensor */
/** @typedef {import("../../../core/service.js").Prediction} Prediction */
/**
 * What is said of one output, or of two that belong together.
 * @typedef {object} Reading
 * @property {string} name
 * @property {"chances" | "scores" | "chance" | "number" | "answer" | "tensor"} kind answer: in words, with its chance where there
 *   is one. scores: of labels, the highest of which is the answer
 * @property {Tensor} tensor
 * @property {string} chance the output that is the chance of this answer; empty for none
 * @property {string} unit empty for none
 * @property {string} measure what the heat measures
 */
/**
 * @typedef {object} Effect
 * @property {number} delta the reading with the part minus without; 0 where it is the same. NaN: the model refused the row
 * @property {boolean} changed whether the answer is another one
 * @property {string} words what happens without the part
 */
/** The numbers of an output, each with its name. @typedef {{ values: number[], labels: (place: number) => string }} Named */

/** Differences below this share of a value are noise of its arithmetic. */
const NOISE = 1e-5;
/** Differences of chances below it are nothing to anybody. */
const CHANCE_NOISE = 1e-4;
/** The least change of a chance that gets a full colour: heat must not make much of little. */
const LEAST_CHANCE = 0.05;
/** The least change of a number that does, as a share of it. */
const LEAST_SHARE = 0.02;

/**
 * @param {Signature} signature
 * @param {Prediction} base
 * @returns {Reading[]}
 */
export function readings(signature, base) {
  return items(signature, base).map(({ name, tensor, value, chance, shown: told }) => {
    const common = { name, tensor, chance: "", unit: "" };
    switch (told.kind) {
      case "text":
        return { ...common, kind: "answer", chance, measure: chance ? `the chance of “${cut(told.text, 60)}”` : OTHER };
      case "flag":
      case "texts":
      case "bytes":
        return { ...common, kind: "answer", measure: OTHER };
      case "bars":
        return told.chances
          ? { ...common, kind: "chances", measure: `the chance of “${told.bars[0].label}”` }
          : { ...common, kind: "scores", unit: told.unit, measure: `the score of “${told.bars[0].label}”` };
      case "chance":
        return { ...common, kind: "chance", measure: `“${name}”` };
      case "number":
        return { ...common, kind: "number", unit: told.unit, measure: `“${name}”` };
      default:
        return typeof value === "string" ? { ...common, kind: "answer", measure: OTHER } : { ...common, kind: "tensor", measure: "the distance between the values, as a share of their size" };
    }
  });
}

const OTHER = "whether the answer is another one";

/**
 * @param {Reading} reading
 * @param {Prediction} base
 * @param {Prediction | null} other null: the model refuses the row
 * @returns {Effect}
 */
export function effect(reading, base, other) {
  if (other === null) return { delta: NaN, changed: false, words: "the model refuses it" };
  const [from, to] = [base[reading.name], other[reading.name]];
  switch (reading.kind) {
    case "answer":
      return ofAnswer(reading, base, other);
    case "chances":
    case "scores":
      return ofNamed(reading, named(reading, from), named(reading, to));
    case "chance":
      return ofChance(reading.measure, Number(single(from)), Number(single(to)));
    case "number":
      return ofNumber(reading.measure, Number(single(from)), Number(single(to)), reading.unit);
    default:
      return ofTensor(flat(from), flat(to));
  }
}

/** @param {Reading} reading @param {Prediction} base @param {Prediction} other @returns {Effect} */
function ofAnswer({ name, tensor, chance }, base, other) {
  const same = JSON.stringify(base[name]) === JSON.stringify(other[name]);
  const [from, to] = [base, other].map((each) => words(shown(tensor, each[name])));
  if (!chance) return same ? nothing() : { delta: 1, changed: true, words: `the answer becomes “${to}”` };
  const [p, q] = [Number(single(base[chance])), Number(single(other[chance]))];
  if (same) return ofChance(`the chance of “${from}”`, p, q);
  // What is left of the first answer's chance is not told: at most as much as the new one has, and leaves.
  return { delta: Math.max(LEAST_CHANCE, p - Math.min(q, 1 - q)), changed: true, words: `the answer becomes “${to}” (${percent(q)})` };
}

/** @param {Reading} reading @param {Named} from @param {Named} to @returns {Effect} */
function ofNamed({ kind, unit }, from, to) {
  if (from.values.length !== to.values.length) return otherSize();
  const [best, next] = [winner(from.values), winner(to.values)];
  const what = `of “${from.labels(best)}”`;
  const [was, is] = [from.values[best], to.values[best]];
  const usual = kind === "chances" ? ofChance(`the chance ${what}`, was, is) : ofNumber(`the score ${what}`, was, is, unit);
  if (best === next || usual.delta === 0) return usual; // of two alike the first is the winner, by noise
  const now = kind === "chances" ? percent(to.values[next]) : quantity(to.values[next], unit);
  return { delta: usual.delta, changed: true, words: `the answer becomes “${to.labels(next)}” (${now}), and ${usual.words}` };
}

/**
 * The numbers of an output with their names: a lone chance is that of one of two answers.
 * @param {Reading} reading
 * @param {unknown} value
 * @returns {Named}
 */
function named({ tensor }, value) {
  const values = flat(value).map(Number);
  const told = shown(tensor, value);
  if (values.length === 1 && told.kind === "bars") {
    const [first, second] = told.bars[0].value === values[0] ? told.bars : [told.bars[1], told.bars[0]];
    return { values: [first.value, second.value], labels: (place) => [first, second][place].label };
  }
  return { values, labels: (place) => (tensor.labels.length === values.length ? tensor.labels[place] : String(place)) };
}

/** @param {string} what @param {number} from @param {number} to @returns {Effect} */
function ofChance(what, from, to) {
  const delta = from - to;
  if (Math.abs(delta) <= CHANCE_NOISE) return nothing();
  return { delta, changed: false, words: `${what} ${delta > 0 ? "falls" : "rises"} by ${unsigned(delta)}, to ${percent(to)}` };
}

/** @param {string} what @param {number} from @param {number} to @param {string} unit @returns {Effect} */
function ofNumber(what, from, to, unit) {
  if (Object.is(from, to)) return nothing();
  if (!Number.isFinite(from) || !Number.isFinite(to)) return { delta: 1, changed: true, words: `${what} becomes ${number(to)}` };
  const delta = from - to;
  if (Math.abs(delta) <= NOISE * Math.max(Math.abs(from), Math.abs(to))) return nothing();
  return { delta, changed: false, words: `${what} ${delta > 0 ? "falls" : "rises"} by ${quantity(Math.abs(delta), unit)}, to ${number(to)}` };
}

/** @param {unknown[]} from @param {unknown[]} to @returns {Effect} */
function ofTensor(from, to) {
  if (from.length !== to.length) return otherSize();
  const [a, b] = [from.map(measured), to.map(measured)];
  const length = size(a);
  const apart = size(a.map((value, place) => (Object.is(value, b[place]) ? 0 : value - b[place])));
  const texts = from.filter((value, place) => typeof value === "string" && value !== to[place]).length;
  const share = length ? apart / length : apart ? 1 : texts / Math.max(1, from.length);
  if (Number.isFinite(share) && share <= NOISE) return nothing();
  const delta = Number.isFinite(share) ? share : 1;
  return { delta, changed: false, words: `the values differ by ${percent(delta)} of their size` };
}

/** Booleans count as 0 and 1, texts not at all. @param {unknown} value */
function measured(value) {
  return typeof value === "number" || typeof value === "boolean" ? Number(value) : 0;
}

/** @param {number[]} list */
function size(list) {
  return Math.sqrt(list.reduce((sum, value) => sum + value * value, 0));
}

/** @returns {Effect} */
function nothing() {
  return { delta: 0, changed: false, words: "nothing changes" };
}

/** @returns {Effect} */
function otherSize() {
  return { delta: 1, changed: true, words: "the answer has another size" };
}

/**
 * What a full colour stands for: the largest change, or the least one that deserves it.
 * @param {Reading} reading
 * @param {Prediction} base
 * @param {Effect[]} effects
 */
export function scaleOf(reading, base, effects) {
  const largest = Math.max(0, ...effects.map(({ delta }) => Math.abs(delta)).filter(Number.isFinite));
  const numbers = flat(base[reading.name]).map(Number).filter(Number.isFinite);
  const least = inUnits(reading) ? LEAST_SHARE * Math.max(0, ...numbers.map(Math.abs)) : LEAST_CHANCE;
  return Math.max(largest, least) || 1;
}

/**
 * The heat of an effect: −1 to 1; an answer that becomes another one is never faint.
 * @param {Effect} effect
 * @param {number} scale
 */
export function heat({ delta, changed }, scale) {
  if (!Number.isFinite(delta)) return 0;
  const share = Math.min(1, Math.abs(delta) / scale);
  return (delta < 0 ? -1 : 1) * (changed ? Math.max(share, 0.6) : share);
}

/**
 * How strong it is, to sort by: answers that become others first.
 * @param {Effect} effect
 */
export function strength({ delta, changed }) {
  return Number.isFinite(delta) ? Math.abs(delta) + Number(changed) * 1e12 : -1;
}

/**
 * A change as the legend says it.
 * @param {Reading} reading
 * @param {number} value
 */
export function amount(reading, value) {
  if (inUnits(reading)) return quantity(value, reading.unit);
  return reading.kind === "tensor" ? percent(value) : unsigned(value);
}

/**
 * Several effects in one: of an input that was replaced by several examples'.
 * @param {Reading} reading
 * @param {Effect[]} effects
 * @returns {{ mean: number, changed: number, text: string }} mean of the sizes
 */
export function together(reading, effects) {
  const known = effects.filter(({ delta }) => Number.isFinite(delta));
  if (!known.length) return { mean: 0, changed: 0, text: effects.length ? "refused" : "" };
  const mean = known.reduce((sum, { delta }) => sum + Math.abs(delta), 0) / known.length;
  const changed = known.filter((each) => each.changed).length;
  const text = mean === 0 ? "0" : reading.kind === "answer" && !reading.chance ? "" : amount(reading, mean);
  const others = changed && reading.kind !== "number" ? `another answer in ${changed} of ${known.length}` : "";
  return { mean, changed, text: [text, others].filter(Boolean).join("; ") };
}

/** Whether its changes are numbers of their own unit, not chances or shares. @param {Reading} reading */
function inUnits({ kind }) {
  return kind === "number" || kind === "scores";
}

/** @param {number} value */
function unsigned(value) {
  return points(value);
}

/** @param {number[]} list */
function winner(list) {
  return list.reduce((best, value, place) => (value > list[best] ? place : best), 0);
}
