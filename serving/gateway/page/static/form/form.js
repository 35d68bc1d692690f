/**
 * A form made from a live signature: a field for each input, of the kind that its dtype and shape ask for.
 *
 *     Signature ──kindOf──▶ fields ──row()──▶ { input: value }          an error of the server goes to the field that it names
 */
import { h } from "../core/dom.js";
import { kindOf } from "../core/values.js";
import { FieldError } from "./field.js";
import * as json from "./fields/json.js";
import * as text from "./fields/text.js";

/** @typedef {import("../core/card.js").Row} Row */
/** @typedef {import("../core/card.js").Signature} Signature */
/**
 * @typedef {object} Form
 * @property {HTMLElement} element
 * @property {() => Row | null} row what the fields hold; null where one of them shows an error
 * @property {(row: Row) => void} set
 * @property {(error: Error) => boolean} fail shows an error at the field that it names; false: it names none
 */

/** @type {{ [kind: string]: import("./field.js").CreateField }} */
const FIELDS = { text: text.createField, json: json.createField };

/**
 * @param {Signature} signature
 * @param {() => void} onChange after each change by the user
 * @returns {Form}
 */
export function createForm(signature, onChange) {
  const fields = new Map(
    signature.inputs.map((tensor) => {
      const create = FIELDS[kindOf(tensor, signature.in_rows)] ?? json.createField;
      const field = create(tensor, signature.in_rows, () => {
        field.fail("");
        onChange();
      });
      return [tensor.name, field];
    }),
  );

  function row() {
    /** @type {Row} */
    const values = {};
    let whole = true;
    for (const [name, field] of fields) {
      field.fail("");
      try {
        values[name] = field.value();
      } catch (error) {
        if (!(error instanceof FieldError)) throw error;
        field.fail(error.message);
        whole = false;
      }
    }
    return whole ? values : null;
  }

  return {
    element: h("div", { class: "fields" }, [...fields.values()].map((field) => field.element)),
    row,
    set(values) {
      for (const [name, field] of fields) {
        field.fail("");
        if (name in values) field.set(values[name]);
      }
    },
    fail(error) {
      const named = [...fields.keys()].find((name) => error.message.includes(`input '${name}'`));
      if (named === undefined) return false;
      fields.get(named)?.fail(error.message);
      return true;
    },
  };
}
