/**
 * A field: what the card says of an input, its editor, the same as JSON at the press of a button, and the place of an error.
 *
 *     kind's createEditor(tensor, …) ─┐
 *     json's createEditor(tensor, …) ─┴─ one of them shown ──value()──▶ JSON value; switching keeps it
 */
import { fill, h, uniqueId } from "../core/dom.js";
import { prose } from "../core/prose.js";
import { shapeOfOne, shapeText } from "../core/shapes.js";
import { FieldError } from "./editor.js";
import * as json from "./fields/json.js";

/** @typedef {import("./editor.js").Editor} Editor */
/**
 * @typedef {object} Field
 * @property {HTMLElement} element
 * @property {() => unknown} value Throws FieldError
 * @property {(value: unknown) => void} set anything
 * @property {(message: string, place?: number[]) => void} fail shows an error; an empty one takes it away
 * @property {(place?: number[]) => void} focus
 */

/**
 * @param {import("./editor.js").CreateEditor} createEditor
 * @param {Omit<import("./editor.js").Use, "fail">} use
 * @returns {Field}
 */
export function createField(createEditor, use) {
  const { tensor, inRows, onChange } = use;
  const id = uniqueId("field");
  const own = createEditor({ ...use, onChange: changed, fail: (message) => fail(message) });
  const raw = createEditor === json.createEditor ? own : json.createEditor({ ...use, onChange: changed, fail: (message) => fail(message) });
  let shown = own;
  let wanted = false; // JSON, by the user's own choice

  const shape = shapeText(shapeOfOne(tensor, inRows));
  const label = h("label", { id: `${id}-label` }, tensor.name, " ", h("span", { class: "type" }, shape === "()" ? tensor.dtype : `${tensor.dtype} ${shape}`));
  const toggle = h("button", { type: "button", class: "slight", "aria-pressed": "false", "aria-label": `${tensor.name} as JSON`, onclick: flip }, "as JSON");
  const said = described(tensor);
  const hint = h("p", { class: "hint", id: `${id}-hint`, hidden: !said }, prose(said));
  const error = h("p", { class: "error", id: `${id}-error`, role: "alert", hidden: true });
  const place = h("div", { class: "editor" });
  const head = h("div", { class: "field-head" }, label, own !== raw && toggle);
  const element = h("div", { class: "field", dataset: { input: tensor.name } }, head, hint, place, error);
  [...new Set([own, raw])].forEach(({ control }, index) => {
    control.id ||= index ? `${id}-json` : id;
    control.setAttribute("aria-describedby", `${id}-hint ${id}-error`);
    if (!isLabelled(control)) control.setAttribute("aria-labelledby", label.id);
  });
  show(own);

  /** @param {Editor} editor */
  function show(editor) {
    shown = editor;
    fill(place, editor.element);
    if (isLabelled(editor.control)) label.htmlFor = editor.control.id;
    else label.removeAttribute("for");
    toggle.setAttribute("aria-pressed", String(editor === raw));
  }

  function flip() {
    const next = shown === raw ? own : raw;
    let value;
    try {
      value = shown.empty() ? undefined : shown.value();
    } catch (problem) {
      if (!(problem instanceof FieldError)) throw problem;
      fail(problem.message, problem.place);
      focus(problem.place);
      return;
    }
    if (value === undefined) next.clear();
    else if (!next.set(value)) {
      fail("Only JSON can show this value");
      return;
    }
    fail("");
    wanted = next === raw;
    show(next);
  }

  function changed() {
    fail("");
    onChange();
  }

  /** @param {string} message @param {number[]} [at] */
  function fail(message, at = []) {
    fill(error, message);
    error.hidden = !message;
    for (const marked of element.querySelectorAll("[aria-invalid], [data-invalid]")) {
      marked.removeAttribute("aria-invalid");
      marked.removeAttribute("data-invalid");
    }
    // A group of controls is no control, and must not be said to be invalid itself.
    if (message) target(at).setAttribute(isLabelled(target(at)) ? "aria-invalid" : "data-invalid", "true");
  }

  /** @param {number[]} at */
  function target(at) {
    return (at.length && shown.at?.(at)) || shown.control;
  }

  /** @param {number[]} [at] */
  function focus(at = []) {
    target(at).focus();
  }

  return {
    element,
    fail,
    focus,
    value: () => shown.value(),
    set(value) {
      fail("");
      const next = !wanted && own.set(value) ? own : raw;
      if (next === raw) raw.set(value);
      if (next !== shown) show(next);
    },
  };
}

/** Whether a `label` can be its. @param {HTMLElement} control */
function isLabelled(control) {
  return control.matches("input, textarea, select");
}

/**
 * What the card says of a tensor, in one line.
 * @param {import("../core/card.js").Tensor} tensor
 */
function described({ meaning, unit, values }) {
  return [meaning, unit, values].filter(Boolean).join("; ");
}
