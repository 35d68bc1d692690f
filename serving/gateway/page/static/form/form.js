/**
 * A form made from a live signature: a field for each input, of the kind that its dtype and shape ask for.
 *
 *     Signature ──kindOf──▶ fields ──row()──▶ { input: value }          an error of the server goes to the field that it names
 */
import { h } from "../core/dom.js";
import { namedInput } from "../core/row.js";
import { kindOf } from "../core/values.js";
import { FieldError } from "./editor.js";
import { createField } from "./field.js";
import * as boolean from "./fields/boolean.js";
import * as grid from "./fields/grid.js";
import * as json from "./fields/json.js";
import * as number from "./fields/number.js";
import * as pad from "./fields/pad.js";
import * as picture from "./fields/picture.js";
import * as pixels from "./fields/pixels.js";
import * as text from "./fields/text.js";

/** @typedef {import("../core/card.js").Row} Row */
/** @typedef {import("../core/card.js").Signature} Signature */
/**
 * @typedef {object} Form
 * @property {HTMLElement} element
 * @property {() => Row | null} row what the fields hold; null where one of them is wrong, which then shows its error and has the focus
 * @property {() => Row | null} draft the same without a word
 * @property {(row: Row) => void} set inputs that the row has not stay as they are
 * @property {(error: Error) => boolean} fail shows an error at the field that it names; false: it names none
 * @property {() => void} clear takes all errors away
 */

/** @type {{ [kind in import("../core/values.js").Kind]: import("./editor.js").CreateEditor }} */
const EDITORS = {
  boolean: boolean.createEditor,
  grid: grid.createEditor,
  json: json.createEditor,
  number: number.createEditor,
  pad: pad.createEditor,
  picture: picture.createEditor,
  pixels: pixels.createEditor,
  text: text.createEditor,
};

/**
 * @param {Signature} signature
 * @param {() => void} onChange after each change by the user
 * @param {{ known?: Row[], signal?: AbortSignal }} [options] rows that it is known to take; what ends the form
 * @returns {Form}
 */
export function createForm(signature, onChange, { known = [], signal = new AbortController().signal } = {}) {
  const fields = new Map(
    signature.inputs.map((tensor) => {
      const values = known.filter((row) => Object.hasOwn(row, tensor.name)).map((row) => row[tensor.name]);
      const use = { tensor, inRows: signature.in_rows, known: values, signal, onChange };
      return [tensor.name, createField(EDITORS[kindOf(tensor, signature.in_rows)], use)];
    }),
  );

  /** @param {(field: import("./field.js").Field, error: FieldError) => void} refused */
  function read(refused) {
    /** @type {[string, unknown][]} */
    const values = [];
    let whole = true;
    for (const [name, field] of fields) {
      try {
        values.push([name, field.value()]);
      } catch (error) {
        if (!(error instanceof FieldError)) throw error;
        refused(field, error);
        whole = false;
      }
    }
    return whole ? Object.fromEntries(values) : null;
  }

  function clear() {
    for (const field of fields.values()) field.fail("");
  }

  return {
    element: h("div", { class: "fields" }, [...fields.values()].map((field) => field.element), fields.size === 0 && h("p", { class: "hint" }, "This signature takes no inputs.")),
    clear,
    draft: () => read(() => undefined),
    row() {
      clear();
      let first = true;
      return read((field, error) => {
        field.fail(error.message, error.place);
        if (first) field.focus(error.place);
        first = false;
      });
    },
    set(values) {
      for (const [name, field] of fields) {
        if (Object.hasOwn(values, name)) field.set(values[name]);
      }
    },
    fail(error) {
      const named = namedInput(error.message, [...fields.keys()]);
      const field = named && fields.get(named.name);
      if (!named || !field) return false;
      const place = signature.in_rows ? named.place.slice(1) : named.place; // the first is the row, of which there is one
      field.fail(error.message, place);
      field.focus(place);
      return true;
    },
  };
}
