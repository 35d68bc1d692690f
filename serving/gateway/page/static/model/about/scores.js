/** What was measured on held-out rows, beside simpler models and the best that there can be. */
import { baselines, direction, figure, standing } from "../../card/scores.js";
import { h } from "../../core/dom.js";

/** @typedef {import("../../core/card.js").Score} Score */

const WAYS = { "1": "higher is better", "-1": "lower is better", "0": "" };
const WORDS = { better: "the model is better", worse: "is better than the model", equal: "as good", unknown: "" };

/** @param {Score[]} scores */
export function scoreTable(scores) {
  const ceilings = scores.some((score) => score.ceiling !== null);
  const heads = ["Output", "Metric", "Model", "Simpler ones", ...(ceilings ? ["At best"] : [])];
  const head = h("tr", {}, heads.map((text) => h("th", { scope: "col", class: (text === "Model" || text === "At best") && "number" }, text)));
  const rows = scores.map((score) => row(score, ceilings));
  return h(
    "section",
    { class: "panel", "aria-label": "Scores" },
    h("h2", {}, "Scores"),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Scores on held-out rows" }, h("table", { class: "score-table stacked" }, h("thead", {}, head), h("tbody", {}, rows))),
  );
}

/** @param {Score} score @param {boolean} ceilings */
function row(score, ceilings) {
  const way = WAYS[/** @type {"1" | "-1" | "0"} */ (String(direction(score.metric)))];
  const beside = baselines(score).map(({ name, value }) => {
    const stands = standing(score, value);
    return h("li", {}, h("bdi", {}, name), " ", h("strong", {}, figure(score.metric, value)), WORDS[stands] && h("span", { class: `beside ${stands}` }, WORDS[stands]));
  });
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("bdi", {}, score.output)),
    h("td", { dataset: { column: "Metric" } }, h("bdi", {}, score.metric), way && h("span", { class: "beside" }, way)),
    h("td", { class: "number", dataset: { column: "Model" } }, h("strong", {}, figure(score.metric, score.value))),
    h("td", { dataset: { column: "Simpler ones" } }, beside.length ? h("ul", { class: "plain", role: "list" }, beside) : h("span", { class: "hint" }, "none told")),
    ceilings && h("td", { class: "number", dataset: { column: "At best" } }, score.ceiling === null ? "" : figure(score.metric, score.ceiling)),
  );
}
