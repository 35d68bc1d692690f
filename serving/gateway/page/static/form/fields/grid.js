/**
 * A few numbers in rows and columns. Arrows go from cell to cell, a block of a spreadsheet can be pasted, and a list
 * whose length is open grows as it is filled.
 */
import { fill, h } from "../../core/dom.js";
import { shapeOfOne } from "../../core/shapes.js";
import { block } from "../../core/written.js";
import { cellsOf, grown, pasted, valueOf } from "../table.js";

/** Cells that stand beside each other with their headings, as a table; more of one row are wrapped. */
const MOST_IN_A_ROW = 8;

/** @type {import("../editor.js").CreateEditor} */
export function createEditor({ tensor, inRows, onChange, fail }) {
  const shape = shapeOfOne(tensor, inRows) ?? [];
  const flat = shape.length === 1;
  const element = h("div", { class: "grid", role: "group", tabindex: -1, oninput: typed, onkeydown: moved, onpaste: put, onfocusin: (/** @type {FocusEvent} */ event) => /** @type {HTMLInputElement} */ (event.target).select?.() });
  let cells = grown([], shape);
  /** @type {HTMLInputElement[][]} */
  let inputs = [];
  draw();

  function draw() {
    inputs = cells.map((row, y) => row.map((cell, x) => h("input", { type: "text", inputmode: "decimal", autocomplete: "off", "aria-label": nameOf(y, x), value: cell, dataset: { y, x } })));
    if (flat && !(inputs[0].length <= MOST_IN_A_ROW && tensor.labels.length)) fill(element, h("div", { class: "wrapped" }, inputs[0].map((input, x) => h("span", { class: "cell" }, h("span", { class: "place", "aria-hidden": "true" }, heading(x)), input))));
    else fill(element, h("div", { class: "scroll" }, h("table", {}, headings(), h("tbody", {}, inputs.map((row, y) => h("tr", {}, !flat && h("th", { scope: "row" }, y + 1), row.map((input) => h("td", {}, input))))))));
  }

  function headings() {
    const columns = cells[0]?.map((_, x) => h("th", { scope: "col" }, heading(x))) ?? [];
    return h("thead", {}, h("tr", {}, !flat && h("td", {}), columns));
  }

  /** @param {number} x */
  function heading(x) {
    return tensor.labels[x] ?? String(x + 1);
  }

  /** @param {number} y @param {number} x */
  function nameOf(y, x) {
    const column = tensor.labels[x] ?? (flat ? `place ${x + 1}` : `column ${x + 1}`);
    return `${tensor.name}: ${flat ? "" : `row ${y + 1}, `}${column}`;
  }

  /** Where an event is. @param {Event} event @returns {[number, number] | null} */
  function placeOf(event) {
    const input = event.target;
    return input instanceof HTMLInputElement ? [Number(input.dataset.y), Number(input.dataset.x)] : null;
  }

  /** @param {Event} event */
  function typed(event) {
    const place = placeOf(event);
    if (!place) return;
    const [y, x] = place;
    cells[y][x] = inputs[y][x].value;
    become(grown(cells, shape), y, x);
    onChange();
  }

  /**
   * Shows other cells. The focus stays where it is.
   * @param {string[][]} next
   * @param {number} y
   * @param {number} x
   */
  function become(next, y, x) {
    const same = next.length === cells.length && next[0]?.length === cells[0]?.length;
    cells = next;
    if (same) {
      cells.forEach((row, top) => row.forEach((cell, left) => (inputs[top][left].value = cell)));
      return;
    }
    const caret = inputs[y]?.[x]?.selectionStart ?? null;
    draw();
    const input = inputs[Math.min(y, inputs.length - 1)]?.[x];
    input?.focus();
    if (caret !== null) input?.setSelectionRange(caret, caret);
  }

  /** @param {KeyboardEvent} event */
  function moved(event) {
    const place = placeOf(event);
    if (!place || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const [y, x] = place;
    const input = inputs[y][x];
    const [start, end] = [input.selectionStart ?? 0, input.selectionEnd ?? 0];
    const all = end - start === input.value.length;
    /** @type {{ [key: string]: () => HTMLInputElement | null | undefined }} */
    const ways = {
      ArrowUp: () => above(y, x, -1),
      ArrowDown: () => above(y, x, 1),
      ArrowLeft: () => (all || end === 0 ? inputs[y][x - 1] : null),
      ArrowRight: () => (all || start === input.value.length ? inputs[y][x + 1] : null),
    };
    const next = ways[event.key]?.();
    if (!next) return;
    event.preventDefault();
    next.focus();
  }

  /** The cell above or below, also where one row is wrapped. @param {number} y @param {number} x @param {number} step */
  function above(y, x, step) {
    if (!flat) return inputs[y + step]?.[x];
    const here = inputs[0][x].getBoundingClientRect();
    const there = inputs[0].filter((each) => Math.abs(each.getBoundingClientRect().left - here.left) < 2);
    return there[there.indexOf(inputs[0][x]) + step];
  }

  /** @param {ClipboardEvent} event */
  function put(event) {
    const text = event.clipboardData?.getData("text") ?? "";
    const place = placeOf(event);
    const lines = block(text.replace(/^\s*\[+|\]+\s*$/g, ""));
    if (!place || (lines.length === 1 && lines[0].length === 1)) return;
    event.preventDefault();
    const next = pasted(cells, shape, place, lines);
    if (!next) {
      fail(`${lines.length} × ${lines[0].length} cells do not fit in from here`);
      return;
    }
    become(next, ...place);
    onChange();
  }

  return {
    element,
    control: element,
    value: () => valueOf(cells, shape, tensor.dtype),
    empty: () => cells.every((row) => row.every((cell) => cell.trim() === "")),
    clear() {
      cells = grown([], shape);
      draw();
    },
    set(value) {
      const next = cellsOf(value, shape);
      if (!next) return false;
      cells = next;
      draw();
      return true;
    },
    at: (place) => (flat ? inputs[0][place[0]] : inputs[place[0]]?.[place[1] ?? 0]) ?? null,
  };
}
