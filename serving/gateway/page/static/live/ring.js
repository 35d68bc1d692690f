/**
 * The last minutes of steps, and what they say at each moment: rates and quantiles over a short window before it.
 *
 *     steps ──windows──▶ at each step those of the last WINDOW_S without a gap ──rate, quantiles──▶ a point of a line
 */
import { quantile } from "./quantile.js";
import { numberOf } from "./steps.js";

/** @typedef {import("./steps.js").Step} Step */
/** @typedef {import("./steps.js").Value} Value */
/** @typedef {import("./exposition.js").Labels} Labels */
/** @typedef {{ at: number, seconds: number, steps: Step[] }} Window_ what is known of a moment; no seconds: nothing */

/** Seconds that are kept and shown. */
export const KEPT_S = 300;
/** Seconds that a point of a line tells of: some looks, so that one slow answer of the server makes no jump. */
const WINDOW_S = 10;

/**
 * The steps that are kept, with one more.
 * @param {Step[]} steps
 * @param {Step} next
 */
export function kept(steps, next) {
  return [...steps.filter(({ at }) => at > next.at - KEPT_S * 1000 && at < next.at), next];
}

/**
 * A window for each step.
 * @param {Step[]} steps
 * @param {number} [length] seconds
 * @returns {Window_[]}
 */
export function windows(steps, length = WINDOW_S) {
  return steps.map(({ at }, place) => {
    let seconds = 0;
    let from = place;
    while (from >= 0 && steps[from].seconds > 0 && at - steps[from].at < length * 1000 - 1) {
      seconds += steps[from].seconds;
      from -= 1;
    }
    return { at, seconds, steps: steps.slice(from + 1, place + 1) };
  });
}

/**
 * The sum of increases by a key: of models, codes and the like.
 * @param {Window_} window_
 * @param {string} name of the sample
 * @param {(labels: Labels) => string | null} keyOf null: not counted
 * @returns {Map<string, number>}
 */
export function sums(window_, name, keyOf) {
  const found = new Map();
  for (const { increases } of window_.steps) {
    for (const { labels, value } of increases.get(name) ?? []) {
      const key = keyOf(labels);
      if (key !== null) found.set(key, (found.get(key) ?? 0) + value);
    }
  }
  return found;
}

/**
 * A quantile of a histogram by a key.
 * @param {Window_} window_
 * @param {string} name of the histogram
 * @param {(labels: Labels) => string | null} keyOf
 * @param {number[]} parts
 * @returns {Map<string, (import("./quantile.js").Quantile | null)[]>}
 */
export function quantiles(window_, name, keyOf, parts) {
  // A bucket that has not grown is not among the increases: the bounds are those of the window's last look.
  const counts = sums(window_, `${name}_bucket`, (labels) => {
    const key = keyOf(labels);
    return key === null ? null : JSON.stringify([key, labels.le]);
  });
  /** @type {Map<string, Map<number, number>>} */
  const byKey = new Map();
  for (const [both, count] of counts) {
    const [key, most] = JSON.parse(both);
    const buckets = byKey.get(key) ?? new Map();
    buckets.set(numberOf(most), count);
    byKey.set(key, buckets);
  }
  const bounds = window_.steps.flatMap(({ bounds: each }) => each.get(name) ?? []);
  return new Map(
    [...byKey].map(([key, buckets]) => {
      const whole = [...new Set([...bounds, ...buckets.keys()])].map((most) => ({ most, count: buckets.get(most) ?? 0 }));
      return [key, parts.map((part) => quantile(whole, part))];
    }),
  );
}
