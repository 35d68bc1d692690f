/**
 * What all fields share: a label with what the card says, the control, and the place of an error.
 *
 *     createField(tensor, id, inRows, onChange) ──▶ Field      one for each kind, in fields/
 */
import { shapeOfOne, shapeText } from "../core/card.js";
import { fill, h } from "../core/dom.js";

/** @typedef {import("../core/card.js").Tensor} Tensor */
/**
 * The editor of one input.
 * @typedef {object} Field
 * @property {HTMLElement} element
 * @property {() => unknown} value the JSON value. Throws FieldError
 * @property {(value: unknown) => void} set anything that the input may be given
 * @property {(message: string) => void} fail shows an error; an empty one takes it away
 */
/** @typedef {(tensor: Tensor, inRows: boolean, onChange: () => void) => Field} CreateField */

/** What somebody has written is not what the input takes. */
export class FieldError extends Error {}

/**
 * The frame of a field.
 * @param {Tensor} tensor
 * @param {string} id of the control, which the label belongs to
 * @param {boolean} inRows
 * @param {HTMLElement} control gets its description and its error by `aria-describedby`
 * @param {HTMLElement[]} [beside] what stands below it, such as buttons
 */
export function frame(tensor, id, inRows, control, beside = []) {
  const hint = h("p", { class: "hint", id: `${id}-hint` }, described(tensor));
  const error = h("p", { class: "error", id: `${id}-error`, role: "alert", hidden: true });
  control.setAttribute("aria-describedby", `${id}-hint ${id}-error`);
  const label = h("label", { for: id }, tensor.name, " ", h("span", { class: "type" }, `${tensor.dtype} ${shapeText(shapeOfOne(tensor, inRows))}`));
  const element = h("div", { class: "field", dataset: { input: tensor.name } }, label, hint, control, beside, error);
  /** @param {string} message */
  function fail(message) {
    fill(error, message);
    error.hidden = !message;
    if (message) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  }
  return { element, fail };
}

/**
 * What the card says of a tensor, in one line.
 * @param {Tensor} tensor
 */
function described({ meaning, unit, values }) {
  return [meaning, unit && `in ${unit}`, values].filter(Boolean).join("; ");
}
