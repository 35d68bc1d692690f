/** A text: grows with what is written. */
import { h, uniqueId } from "../../core/dom.js";
import { flat } from "../../core/values.js";
import { frame } from "../field.js";

const LINE = 60;
const MOST_LINES = 12;

/** @type {import("../field.js").CreateField} */
export function createField(tensor, inRows, onChange) {
  const id = uniqueId("field");
  const area = h("textarea", { id, rows: 2, spellcheck: "false", oninput: changed });
  const { element, fail } = frame(tensor, id, inRows, area);

  function changed() {
    resize();
    onChange();
  }

  function resize() {
    const lines = area.value.split("\n").reduce((sum, line) => sum + 1 + Math.floor(line.length / LINE), 0);
    area.rows = Math.min(MOST_LINES, Math.max(2, lines));
  }

  return {
    element,
    fail,
    value: () => area.value,
    set(value) {
      area.value = String(flat(value)[0] ?? "");
      resize();
    },
  };
}
