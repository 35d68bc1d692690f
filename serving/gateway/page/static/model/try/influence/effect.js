/**
 * What a part does to an answer: the answer to the row itself against the answer without the part.
 *
 *     outputs ──readings──▶ what can be said of each ──effect(base, other)──▶ delta, changed, words ──sized──▶ 0 to 1 for the heat
 *
 * An answer in words and its chance are one reading. delta is positive where the part raises the answer: without it the
 * answer is lower, or less certain. All functions are pure.
 */
import { number, percent } from "../../../core/numbers.js";
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
 * @property {Tensor} output
 * @property {string} [chance] the output that is the chance of this answer
 * @property {string} measure what the heat measures
 */
/**
 * @typedef {object} Effect
 * @property {number} delta the reading with the part minus without; 0 where it is the same. NaN: the model refused the row
 * @property {boolean} changed whether the answer is another one
 * @property {string} words what happens without the part
 */

/** Differences below this share of a value are noise of its arithmetic. */
const NOISE = 1e-5;
/** Differences of chances below it are nothing to anybody. */
const CHANCE_NOISE = 1e-4;
/** The least change of a chance that gets a full colour: heat must not make much of little. */
const LEAST_CHANCE = 0.05;
/** The least change of a number that does, as a share of it. */
const LEAST_SHARE = 0.02;

const LONGEST_UNIT = 24;

const COMPANION = /_(probability|chance|confidence|score)$/;

/**
 * Answers in words that have their chance as an output of its own: its name by theirs.
 * @param {Tensor[]} outputs
 * @returns {Map<string, string>}
 */
export function companions(outputs) {
  return new Map(
    outputs.flatMap(({ name, holds }) => {
      const of = holds === "numbers" && COMPANION.test(name) && outputs.find((each) => each.name === name.replace(COMPANION, "") && worded(each));
      return of ? [[of.name, name]] : [];
    }),
  );
}

/**
 * @param {Signature} signature
 * @param {Prediction} base
 * @returns {Reading[]}
 */
export function readings({ outputs }, base) {
  const there = outputs.filter((output) => output.name in base);
  const pairs = companions(there);
  const taken = new Set(pairs.values());
  return there.filter((output) => !taken.has(output.name)).map((output) => reading(output, base[output.name], pairs.get(output.name)));
}

/** @param {Tensor} output @param {unknown} value @param {string | undefined} chance @returns {Reading} */
function reading(output, value, chance) {
  const { name } = output;
  const list = flat(value);
  if (worded(output)) {
    const measure = chance ? `the chance of “${list.join(", ")}”` : "whether the answer is another one";
    return { name, kind: "answer", output, chance, measure };
  }
  if (output.holds === "numbers" && list.length > 1 && areChances(list.map(Number))) {
    return { name, kind: "chances", output, measure: `the chance of “${labelOf(output, winner(list.map(Number)))}”` };
  }
  if (output.holds === "numbers" && list.length > 1 && list.length === output.labels.length) {
    return { name, kind: "scores", output, measure: `the score of “${labelOf(output, winner(list.map(Number)))}”` };
  }
  if (output.holds === "numbers" && list.length === 1) {
    return { name, kind: isChance(output) ? "chance" : "number", output, measure: `“${name}”` };
  }
  return { name, kind: "tensor", output, measure: "the distance between the values, as a share of their size" };
}

/**
 * @param {Reading} reading
 * @param {Prediction} base
 * @param {Prediction | null} other null: the model refuses the row
 * @returns {Effect}
 */
export function effect(reading, base, other) {
  if (other === null) return { delta: NaN, changed: false, words: "the model refuses it" };
  const [from, to] = [base[reading.name], other[reading.name]];
  if (reading.kind === "answer") return ofAnswer(reading, base, other);
  if (reading.kind === "chances" || reading.kind === "scores") return ofChances(reading, flat(from).map(Number), flat(to).map(Number));
  if (reading.kind === "tensor") return ofTensor(flat(from), flat(to));
  return ofNumber(reading, Number(flat(from)[0]), Number(flat(to)[0]));
}

/** @param {Reading} reading @param {Prediction} base @param {Prediction} other @returns {Effect} */
function ofAnswer({ name, chance }, base, other) {
  const [from, to] = [flat(base[name]).join(", "), flat(other[name]).join(", ")];
  if (!chance) return from === to ? nothing() : { delta: 1, changed: true, words: `the answer becomes “${to}”` };
  const [p, q] = [Number(flat(base[chance])[0]), Number(flat(other[chance])[0])];
  if (from === to) return ofChance(`the chance of “${from}”`, p, q);
  // What is left of the first answer's chance is not told: at most as much as the new one has, and leaves.
  return { delta: Math.max(LEAST_CHANCE, p - Math.min(q, 1 - q)), changed: true, words: `the answer becomes “${to}” (${percent(q)})` };
}

/** @param {Reading} reading @param {number[]} from @param {number[]} to @returns {Effect} */
function ofChances({ kind, output }, from, to) {
  if (from.length !== to.length) return otherShape();
  const [best, next] = [winner(from), winner(to)];
  const what = `of “${labelOf(output, best)}”`;
  const usual = kind === "chances" ? ofChance(`the chance ${what}`, from[best], to[best]) : ofSize(`the score ${what}`, from[best], to[best], unitOf(output));
  if (best === next || usual.delta === 0) return usual; // of two alike the first is the winner, by noise
  const now = kind === "chances" ? percent(to[next]) : number(to[next]);
  return { delta: usual.delta, changed: true, words: `the answer becomes “${labelOf(output, next)}” (${now}), and ${usual.words}` };
}

/** @param {string} what @param {number} from @param {number} to @returns {Effect} */
function ofChance(what, from, to) {
  const delta = from - to;
  if (Math.abs(delta) <= CHANCE_NOISE) return nothing();
  const points = `${number(Math.abs(delta) * 100, 3)} points`;
  return { delta, changed: false, words: `${what} ${delta > 0 ? "falls" : "rises"} by ${points}, to ${percent(to)}` };
}

/** @param {Reading} reading @param {number} from @param {number} to @returns {Effect} */
function ofNumber({ name, kind, output }, from, to) {
  const what = `“${name}”`;
  return kind === "chance" ? ofChance(what, from, to) : ofSize(what, from, to, unitOf(output));
}

/** @param {string} what @param {number} from @param {number} to @param {string} unit @returns {Effect} */
function ofSize(what, from, to, unit) {
  if (Object.is(from, to)) return nothing();
  if (!Number.isFinite(from) || !Number.isFinite(to)) {
    return { delta: 1, changed: true, words: `${what} becomes ${number(to)}` };
  }
  const delta = from - to;
  if (Math.abs(delta) <= NOISE * Math.max(Math.abs(from), Math.abs(to))) return nothing();
  return { delta, changed: false, words: `${what} ${delta > 0 ? "falls" : "rises"} by ${number(Math.abs(delta))}${unit}, to ${number(to)}` };
}

/** @param {unknown[]} from @param {unknown[]} to @returns {Effect} */
function ofTensor(from, to) {
  if (from.length !== to.length) return otherShape();
  const [a, b] = [from.map(measured), to.map(measured)];
  const norm = Math.hypot(...spread(a));
  const apart = Math.hypot(...spread(a.map((value, place) => (Object.is(value, b[place]) ? 0 : value - b[place]))));
  const words = from.map((value, place) => Number(typeof value !== "number" && value !== to[place])).reduce((sum, each) => sum + each, 0);
  const share = norm ? apart / norm : apart ? 1 : words / Math.max(1, from.length);
  if (Number.isFinite(share) && share <= NOISE) return nothing();
  const delta = Number.isFinite(share) ? share : 1;
  return { delta, changed: false, words: `the values differ by ${percent(delta)} of their size` };
}

/** Booleans count as 0 and 1, texts not at all. @param {unknown} value */
function measured(value) {
  return typeof value === "number" || typeof value === "boolean" ? Number(value) : 0;
}

/** As an argument list of hypot, which must not be too long. @param {number[]} list */
function spread(list) {
  return list.length < 10_000 ? list : [Math.sqrt(list.reduce((sum, value) => sum + value * value, 0))];
}

/** @returns {Effect} */
function nothing() {
  return { delta: 0, changed: false, words: "nothing changes" };
}

/** @returns {Effect} */
function otherShape() {
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
  const inUnits = reading.kind === "number" || reading.kind === "scores";
  const least = inUnits ? LEAST_SHARE * Math.max(0, ...numbers.map(Math.abs)) : LEAST_CHANCE;
  return Math.max(largest, least) || 1;
}

/**
 * The heat of an effect: −1 to 1; an answer that becomes another one is never faint.
 * @param {Effect} effect
 * @param {number} scale
 */
export function heat({ delta, changed }, scale) {
  if (!Number.isFinite(delta)) return 0;
  const size = Math.min(1, Math.abs(delta) / scale);
  return (delta < 0 ? -1 : 1) * (changed ? Math.max(size, 0.6) : size);
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
export function amount({ kind, output }, value) {
  if (kind === "number" || kind === "scores") return `${number(value)}${unitOf(output)}`;
  return kind === "tensor" ? percent(value) : `${number(value * 100, 3)} points`;
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
  const size = mean === 0 ? "0" : reading.kind === "answer" && !reading.chance ? "" : amount(reading, mean);
  const others = changed && reading.kind !== "number" ? `another answer in ${changed} of ${known.length}` : "";
  return { mean, changed, text: [size, others].filter(Boolean).join("; ") };
}

/** @param {Tensor} output */
function worded(output) {
  return output.holds === "text" || output.holds === "bytes";
}

/** The unit behind a number: without what the card explains of it. @param {Tensor} output */
function unitOf({ unit }) {
  const short = unit.split(/[,;(]/)[0].trim();
  return short && short.length <= LONGEST_UNIT ? ` ${short}` : "";
}

/** Whether a number is a chance, by what the card says of it. @param {Tensor} output */
function isChance({ name, meaning, unit }) {
  return !unit && (/\b(chance|probability)\b/i.test(meaning) || COMPANION.test(name));
}

/** @param {number[]} list */
function areChances(list) {
  const sum = list.reduce((total, value) => total + value, 0);
  return list.every((value) => value >= 0 && value <= 1 + NOISE) && Math.abs(sum - 1) < 1e-2;
}

/** @param {number[]} list */
function winner(list) {
  return list.reduce((best, value, place) => (value > list[best] ? place : best), 0);
}

/** @param {Tensor} output @param {number} place */
function labelOf({ labels, name }, place) {
  return labels[place] ?? `${name}[${place}]`;
}
