/** Yes or no. */
import { fill, h } from "../../core/dom.js";
import { shapeOfOne } from "../../core/shapes.js";
import { flat, isNest, nested, sizes } from "../../core/values.js";

/** @type {import("../editor.js").CreateEditor} */
export function createEditor({ tensor, inRows, onChange }) {
  const box = h("input", { type: "checkbox", onchange: changed });
  const word = h("span", { "aria-hidden": "true" }, "false");
  let around = shapeOfOne(tensor, inRows) ?? [];

  function say() {
    fill(word, String(box.checked));
  }

  function changed() {
    say();
    onChange();
  }

  return {
    element: h("div", { class: "choice" }, box, word),
    control: box,
    value: () => nested([box.checked], around),
    empty: () => false,
    clear() {
      box.checked = false;
      say();
    },
    set(value) {
      const lists = sizes(value);
      if (flat(value).length !== 1 || !isNest(value, lists, (each) => typeof each === "boolean")) return false;
      around = lists;
      box.checked = flat(value)[0] === true;
      say();
      return true;
    },
  };
}
