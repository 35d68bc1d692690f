/** Any value, as JSON: what no other field can show. */
import { h, uniqueId } from "../../core/dom.js";
import { FieldError, frame } from "../field.js";

const MOST_LINES = 16;

/** @type {import("../field.js").CreateField} */
export function createField(tensor, inRows, onChange) {
  const id = uniqueId("field");
  const area = h("textarea", { id, rows: 4, class: "code", spellcheck: "false", oninput: onChange });
  const { element, fail } = frame(tensor, id, inRows, area);
  return {
    element,
    fail,
    value() {
      try {
        return JSON.parse(area.value);
      } catch (error) {
        throw new FieldError(`this is not JSON: ${/** @type {Error} */ (error).message}`);
      }
    },
    set(value) {
      area.value = JSON.stringify(value);
      area.rows = Math.min(MOST_LINES, Math.max(4, Math.ceil(area.value.length / 80)));
    },
  };
}
