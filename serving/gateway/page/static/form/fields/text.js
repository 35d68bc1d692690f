/** A text: grows with what is written. */
import { h } from "../../core/dom.js";
import { shapeOfOne } from "../../core/shapes.js";
import { flat, isNest, nested, sizes } from "../../core/values.js";

const LINE = 60;
const MOST_LINES = 12;

/** @type {import("../editor.js").CreateEditor} */
export function createEditor({ tensor, inRows, onChange }) {
  const area = h("textarea", { rows: 2, dir: "auto", spellcheck: "false", oninput: changed });
  let around = shapeOfOne(tensor, inRows) ?? [];

  function changed() {
    resize();
    onChange();
  }

  function resize() {
    const lines = area.value.split("\n").reduce((sum, line) => sum + 1 + Math.floor(line.length / LINE), 0);
    area.rows = Math.min(MOST_LINES, Math.max(2, lines));
    while (area.scrollHeight > area.clientHeight && area.rows < MOST_LINES) area.rows += 1; // narrower than a line is long
  }

  return {
    element: area,
    control: area,
    value: () => nested([area.value], around),
    empty: () => false, // no word is a text, too
    clear() {
      area.value = "";
      resize();
    },
    set(value) {
      const [only, more] = flat(value);
      const lists = sizes(value);
      if (typeof only !== "string" || more !== undefined || !isNest(value, lists, () => true)) return false;
      if (/\r/.test(only)) return false; // a text area makes \n of it
      around = lists;
      area.value = only;
      resize();
      return true;
    },
  };
}
