/** An answer as people read it: for each output its name, what it means, and its value. */
import { h } from "../core/dom.js";

/**
 * @param {import("../core/card.js").Signature} signature
 * @param {import("../core/service.js").Prediction} prediction
 * @returns {HTMLElement}
 */
export function answerView(signature, prediction) {
  return h(
    "dl",
    { class: "answer" },
    signature.outputs
      .filter((output) => output.name in prediction)
      .flatMap((output) => [h("dt", {}, output.name), h("dd", {}, JSON.stringify(prediction[output.name]))]),
  );
}
