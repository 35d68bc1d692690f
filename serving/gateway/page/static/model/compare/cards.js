/** What the cards of two versions say, beside each other: scores, size, digest. */
import { figure } from "../../card/scores.js";
import { h } from "../../core/dom.js";
import { points, signed } from "../../core/numbers.js";

/** @typedef {import("../../core/card.js").Card} Card */

/**
 * @param {Card} one
 * @param {number} first its version
 * @param {Card} other
 * @param {number} second
 */
export function cardsView(one, first, other, second) {
  return h("section", { class: "panel compared" }, h("h3", {}, "What their cards say"), h("p", {}, digests(one, other)), problems(one, first, other, second), scores(one, first, other, second));
}

/** @param {Card} one @param {Card} other */
function digests(one, other) {
  if (!one.digest || !other.digest) return "Not both have a digest, so their files cannot be held against each other here.";
  return one.digest === other.digest ? "Their files are the same, by their digests: they answer alike." : "Their files differ, by their digests.";
}

/** @param {Card} one @param {number} first @param {Card} other @param {number} second */
function problems(one, first, other, second) {
  return [[one, first], [other, second]].map(([card, version]) => {
    const { problem } = /** @type {Card} */ (card);
    return problem ? h("p", { class: "note" }, `Version ${version}: ${problem}`) : null;
  });
}

/** @param {Card} one @param {number} first @param {Card} other @param {number} second */
function scores(one, first, other, second) {
  const keys = new Map([...one.scores, ...other.scores].map((score) => [`${score.output}\n${score.metric}`, score]));
  /** @type {[string, string, number | null | undefined, number | null | undefined][]} */
  const lines = [...keys].map(([key, { output, metric }]) => {
    const [before, after] = [one, other].map((card) => card.scores.find((each) => `${each.output}\n${each.metric}` === key)?.value);
    return [output ? `${output}, ${metric}` : metric, metric, before, after];
  });
  if (one.parameters !== null || other.parameters !== null) lines.push(["parameters", "", one.parameters ?? undefined, other.parameters ?? undefined]);
  if (!lines.length) return h("p", { class: "hint" }, "Neither has scores.");
  /** @param {string} metric @param {number | null | undefined} value */
  const cell = (metric, value) => h("td", { class: "number" }, value === undefined ? "none" : figure(metric, value));
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Scores of both versions" },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Score"), [`Version ${first}`, `Version ${second}`, "Difference"].map((text) => h("th", { scope: "col", class: "number" }, text)))),
      h(
        "tbody",
        {},
        lines.map(([name, metric, before, after]) =>
          h("tr", {}, h("th", { scope: "row" }, name), cell(metric, before), cell(metric, after), h("td", { class: "number" }, difference(metric, before, after))),
        ),
      ),
    ),
  );
}

/**
 * How far two figures are apart; empty where one is not told. Accuracies are percents, and so apart by points.
 * @param {string} metric
 * @param {number | null | undefined} before
 * @param {number | null | undefined} after
 */
export function difference(metric, before, after) {
  if (typeof before !== "number" || typeof after !== "number") return "";
  const percents = [before, after].every((value) => figure(metric, value).endsWith("%"));
  return percents ? signed(after - before, points) : signed(after - before);
}
