/** A number: as it is written, with its unit beside it. */
import { h } from "../../core/dom.js";
import { shapeOfOne } from "../../core/shapes.js";
import { flat, isNest, isNumber, nested, sizes } from "../../core/values.js";
import { numberText, readNumber } from "../../core/written.js";
import { FieldError } from "../editor.js";

const SHORT = 12;

/** @type {import("../editor.js").CreateEditor} */
export function createEditor({ tensor, inRows, onChange }) {
  const input = h("input", { type: "text", inputmode: "decimal", autocomplete: "off", oninput: onChange });
  const unit = tensor.unit.length <= SHORT && tensor.unit;
  let around = shapeOfOne(tensor, inRows) ?? [];
  return {
    element: h("div", { class: "with-unit" }, input, unit && h("span", { class: "hint", "aria-hidden": "true" }, unit)),
    control: input,
    value() {
      try {
        return nested([readNumber(input.value, tensor.dtype)], around);
      } catch (error) {
        throw new FieldError(/** @type {Error} */ (error).message);
      }
    },
    empty: () => input.value.trim() === "",
    clear: () => void (input.value = ""),
    set(value) {
      const lists = sizes(value);
      if (flat(value).length !== 1 || !isNest(value, lists, isNumber)) return false;
      around = lists;
      input.value = numberText(flat(value)[0]);
      return true;
    },
  };
}
