/**
 * Inputs × outputs: how much each output changes when one input is replaced by another example's.
 */
import { h } from "../../../core/dom.js";
import { count } from "../../../core/numbers.js";
import { together } from "./effect.js";

/** @typedef {import("./effect.js").Effect} Effect */
/** @typedef {import("./effect.js").Reading} Reading */
/** @typedef {import("./plan.js").Variant} Variant */

/**
 * @param {Reading[]} readings
 * @param {{ variant: Variant, effects: Effect[] }[]} wholes effects: one for each reading
 * @returns {HTMLElement}
 */
export function matrixView(readings, wholes) {
  const inputs = [...new Set(wholes.map(({ variant }) => variant.input))];
  const cells = inputs.map((input) => {
    const own = wholes.filter(({ variant }) => variant.input === input);
    return { input, asked: own.length, values: readings.map((reading, column) => together(reading, own.map(({ effects }) => effects[column]))) };
  });
  const most = readings.map((_, column) => (inputs.length > 1 ? Math.max(...cells.map(({ values }) => values[column].mean)) : 0)); // alone it is no comparison
  const asked = Math.max(...cells.map((each) => each.asked));
  return h(
    "div",
    { class: "influence-matrix" },
    h("h3", {}, "Inputs and outputs"),
    h("p", { class: "hint" }, `How much each output changes when one input is replaced by another example's: the mean over up to ${count(asked, "example")}, without direction.`),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "group", "aria-label": "Inputs and outputs" },
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Input"), readings.map(({ name }) => h("th", { scope: "col" }, name)))),
        h(
          "tbody",
          {},
          cells.map(({ input, values }) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, input),
              values.map(({ mean, text }, column) => h("td", { class: "hot shade", style: { "--heat": most[column] ? (mean / most[column]).toFixed(3) : 0 } }, text)),
            ),
          ),
        ),
      ),
    ),
  );
}
