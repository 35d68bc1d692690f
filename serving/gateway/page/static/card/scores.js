/**
 * What a card's figures say to people: which way is better, and how the model stands beside simpler ones.
 *
 *     {metric: "accuracy", value: 0.97, baselines: {commonest: 0.1}} ──standing──▶ "better than commonest, 10.0 %"
 *
 * All functions are pure.
 */
import { number, percent } from "../core/numbers.js";

/** @typedef {import("../core/card.js").Score} Score */
/** A simpler model's figure. @typedef {{ name: string, value: number }} Baseline */
/** @typedef {"better" | "worse" | "equal" | "unknown"} Standing of the model, beside a baseline */

/**
 * Which way a metric is better: 1 up, -1 down, 0 where its name does not tell.
 * @param {string} metric
 */
export function direction(metric) {
  const up = /\baccuracy\b/i.test(metric);
  const down = /\berrors?\b/i.test(metric);
  return up === down ? 0 : up ? 1 : -1;
}

/**
 * A figure as people read it: 0.967 of an accuracy is 96.7 %.
 * @param {string} metric
 * @param {number | null} value
 */
export function figure(metric, value) {
  if (value === null) return "not told";
  return direction(metric) === 1 && value >= 0 && value <= 1 ? percent(value).replace(" %", "\u00a0%") : number(value);
}

/**
 * The baselines whose figures are told, the strongest first; as they come where nobody knows which way is better.
 * @param {Score} score
 * @returns {Baseline[]}
 */
export function baselines(score) {
  const way = direction(score.metric);
  const told = Object.entries(score.baselines).filter(([, value]) => value !== null);
  return told.map(([name, value]) => ({ name, value })).sort((one, other) => way * (other.value - one.value));
}

/**
 * How the model stands beside a figure.
 * @param {Score} score
 * @param {number} beside
 * @returns {Standing}
 */
export function standing(score, beside) {
  const way = direction(score.metric);
  if (way === 0 || score.value === null) return "unknown";
  if (score.value === beside) return "equal";
  return way * (score.value - beside) > 0 ? "better" : "worse";
}

/**
 * The model's figure beside the strongest baseline's, in words; empty where there is none.
 * @param {Score} score
 */
export function besideStrongest(score) {
  const [first] = baselines(score);
  if (!first) return "";
  const text = `${first.name}, ${figure(score.metric, first.value)}`;
  return { better: `better than ${text}`, worse: `not as good as ${text}`, equal: `as good as ${text}`, unknown: `beside ${text}` }[
    standing(score, first.value)
  ];
}

/**
 * The first figure of each output, which is the one that its author put first.
 * @param {Score[]} scores
 */
export function firstOfEach(scores) {
  /** @type {Map<string, Score>} */
  const found = new Map();
  for (const score of scores) if (!found.has(score.output)) found.set(score.output, score);
  return [...found.values()];
}
