/**
 * What both ways to compare share: two answers beside each other, with what differs said above.
 */
import { answerView } from "../../answer/answer.js";
import { fill, h } from "../../core/dom.js";
import { duration } from "../../core/numbers.js";
import { ServiceError } from "../../core/service.js";
import { differences, sentence } from "./differences.js";

/** @typedef {import("../../core/service.js").Answer} Answer */
/** @typedef {import("../../core/service.js").Prediction} Prediction */
/** @typedef {import("../../core/card.js").Signature} Signature */
/**
 * One of the two.
 * @typedef {object} Side
 * @property {string} title
 * @property {Signature} signature
 * @property {Prediction | null} prediction null: there is an error, shown here or at its field
 * @property {Answer | null} answer that the prediction is of
 * @property {string} error empty: it is shown elsewhere, or there is none
 */

/**
 * Shows both.
 * @param {Element} place
 * @param {[Side, Side]} sides
 */
export function showSides(place, sides) {
  const [one, other] = sides;
  const both = one.prediction && other.prediction;
  const outputs = [...one.signature.outputs, ...other.signature.outputs.filter(({ name }) => !one.signature.outputs.some((each) => each.name === name))];
  const found = one.prediction && other.prediction ? differences(outputs, one.prediction, other.prediction) : [];
  fill(
    place,
    both && h("p", { class: "verdict" }, sentence(found, one.title, other.title)),
    h("div", { class: "columns sides" }, sideView(one, null), sideView(other, one.prediction)),
  );
}

/**
 * The time of an answer: that of the round trip, and the model's own.
 * @param {Answer} answer
 */
function timeText(answer) {
  const model = answer.stages.find((stage) => stage.name === "model");
  return `${duration(answer.ms)}${model ? `, ${duration(model.ms)} of it in the model` : ""}`;
}

/**
 * The words of what a call failed with. Anything else than an answer of the server rises.
 * @param {unknown} error
 * @returns {ServiceError}
 */
export function refused(error) {
  if (error instanceof ServiceError) return error;
  throw error;
}

/** @param {Side} side @param {Prediction | null} before */
function sideView({ title, signature, prediction, answer, error }, before) {
  return h(
    "section",
    { class: "panel side", "aria-label": title },
    h("h3", {}, title),
    answer && h("p", { class: "hint" }, `Answered by version ${answer.version} in ${timeText(answer)}`),
    error && h("p", { class: "error", role: "alert" }, error),
    prediction && answerView(signature, prediction, before ? { before } : {}),
    !prediction && !error && h("p", { class: "hint" }, "Its form says what is wrong."),
  );
}
