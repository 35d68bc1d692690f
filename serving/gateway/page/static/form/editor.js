/**
 * What the editors in fields/ have in common: the control, or the controls, for the value of one input.
 *
 *     createEditor(use) ──▶ Editor      value() and set() are each other's opposites
 */

/** @typedef {import("../core/card.js").Tensor} Tensor */
/**
 * What an editor is made for.
 * @typedef {object} Use
 * @property {Tensor} tensor
 * @property {boolean} inRows whether its signature takes instances
 * @property {unknown[]} known values that it is known to take
 * @property {AbortSignal} signal ends what the editor still does
 * @property {() => void} onChange after each change by the user
 * @property {(message: string) => void} fail shows an error; an empty one takes it away
 */
/**
 * The control, or the controls, for a value.
 * @typedef {object} Editor
 * @property {HTMLElement} element
 * @property {HTMLElement} control gets the label and the description; what an error puts the focus on
 * @property {() => unknown} value the JSON value. Throws FieldError
 * @property {(value: unknown) => boolean} set false: it cannot show that exactly, and is as it was
 * @property {() => boolean} empty whether nothing has been filled in
 * @property {() => void} clear takes away what has been filled in
 * @property {(place: number[]) => HTMLElement | null} [at] the control of a place within the value
 */
/** @typedef {(use: Use) => Editor} CreateEditor */

/** What somebody has written is not what the input takes. */
export class FieldError extends Error {
  /** @param {string} message @param {number[]} [place] within the value */
  constructor(message, place = []) {
    super(message);
    this.place = place;
  }
}
