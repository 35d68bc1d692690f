/**
 * A small picture of one channel, to be drawn: by mouse, finger or pen, or cell by cell with the keyboard. The numbers
 * stand in a table that screen readers find.
 */
import { fill, h, svg, uniqueId } from "../../core/dom.js";
import { number } from "../../core/numbers.js";
import { inRange, rangeOf } from "../../core/range.js";
import { shapeOfOne } from "../../core/shapes.js";
import { fitsShape, flat, isNest, nested, padSides, sizes } from "../../core/values.js";
import { penRadius, stroke } from "../drawing.js";

const TENTHS = "0123456789";

/** @type {import("../editor.js").CreateEditor} */
export function createEditor({ tensor, inRows, known, onChange }) {
  const shape = shapeOfOne(tensor, inRows) ?? [];
  const [height, width] = padSides(shape) ?? [0, 0];
  const range = rangeOf(tensor, known, [0, 1]);
  const radius = penRadius(height, width);
  /** @type {number[]} */
  let values = new Array(height * width).fill(inRange(0, range, tensor.dtype));
  let place = 0; // where the keyboard is
  /** @type {[number, number] | null} */
  let before = null; // where the pen was

  const cells = values.map((_, at) => svg("rect", { x: at % width, y: Math.floor(at / width), width: 1, height: 1 }));
  const lines = [
    ...Array.from({ length: width - 1 }, (_, x) => svg("path", { d: `M${x + 1} 0V${height}` })),
    ...Array.from({ length: height - 1 }, (_, y) => svg("path", { d: `M0 ${y + 1}H${width}` })),
  ];
  const mark = svg("rect", { class: "mark", width: 1, height: 1 });
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, cells, lines, mark);
  const keysId = uniqueId("keys");
  const control = h(
    "div",
    { class: "pad", tabindex: 0, role: "application", "aria-roledescription": "drawing pad", "aria-details": keysId, style: { "aspect-ratio": `${width} / ${height}` }, onkeydown: pressed, onpointerdown: began, onpointermove: drawn, onpointerup: ended, onpointercancel: ended },
    picture,
  );
  const pen = h("button", { type: "button", "aria-pressed": "true", "aria-label": `Draw ${tensor.name}`, onclick: () => choose(false) }, "Draw");
  const eraser = h("button", { type: "button", "aria-pressed": "false", "aria-label": `Erase ${tensor.name}`, onclick: () => choose(true) }, "Erase");
  const clear = h("button", { type: "button", "aria-label": `Clear ${tensor.name}`, onclick: wiped }, "Clear");
  const table = h("table", {});
  const said = h("p", { class: "hint", "aria-live": "polite" }, `${height} × ${width} cells, ${number(range[0])} to ${number(range[1])}`);
  const keys = h("p", { class: "unseen", id: keysId }, "Arrow keys go from cell to cell. Space fills the cell, 1 to 9 fill it in tenths, 0 or Delete empties it.");
  const element = h("div", { class: "pad-field" }, control, h("div", { class: "beside" }, pen, eraser, clear), said, keys, h("div", { class: "unseen" }, table)); // a table is as wide as its cells, whatever its own width
  let erasing = false;
  draw();

  /** @param {boolean} erase */
  function choose(erase) {
    erasing = erase;
    pen.setAttribute("aria-pressed", String(!erase));
    eraser.setAttribute("aria-pressed", String(erase));
  }

  function wiped() {
    emptied();
    onChange();
  }

  /** Also cells that held less than the range has. */
  function emptied() {
    values = values.map(() => inRange(0, range, tensor.dtype));
    draw();
    tell();
  }

  /** Shares of ink, 0 to 1. */
  function ink() {
    const [least, most] = range;
    return values.map((value) => Math.min(1, Math.max(0, (value - least) / (most - least))));
  }

  function draw() {
    ink().forEach((share, at) => cells[at].setAttribute("fill-opacity", share.toFixed(3)));
    mark.setAttribute("x", String(place % width));
    mark.setAttribute("y", String(Math.floor(place / width)));
  }

  function tell() {
    const rows = Array.from({ length: height }, (_, y) => h("tr", {}, values.slice(y * width, (y + 1) * width).map((value) => h("td", {}, value))));
    fill(table, h("caption", {}, `${tensor.name}: the numbers of the picture`), rows);
  }

  /** Takes shares of ink; cells that they do not change keep their values as they are. @param {number[]} shares */
  function become(shares) {
    const old = ink();
    values = values.map((value, at) => (shares[at] === old[at] ? value : inRange(shares[at], range, tensor.dtype)));
    draw();
    onChange();
  }

  /** @param {PointerEvent} event @returns {[number, number]} */
  function point(event) {
    const box = picture.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  }

  /** @param {PointerEvent} event */
  function began(event) {
    if (event.button !== 0) return;
    control.setPointerCapture(event.pointerId);
    before = point(event);
    become(stroke(ink(), width, before, before, radius, erasing));
  }

  /** @param {PointerEvent} event */
  function drawn(event) {
    if (!before) return;
    let shares = ink();
    for (const each of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) {
      const next = point(each);
      shares = stroke(shares, width, before, next, radius, erasing);
      before = next;
    }
    become(shares);
  }

  function ended() {
    before = null;
    tell();
  }

  /** @param {KeyboardEvent} event */
  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [x, y] = [place % width, Math.floor(place / width)];
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    const tenth = TENTHS.indexOf(event.key);
    if (step) {
      place = Math.min(height - 1, Math.max(0, y + step[1])) * width + Math.min(width - 1, Math.max(0, x + step[0]));
      draw();
    } else if (event.key === " " || tenth >= 0 || event.key === "Delete" || event.key === "Backspace") {
      const share = event.key === " " ? 1 : Math.max(0, tenth) / 10;
      become(ink().map((old, at) => (at === place ? share : old)));
      tell();
    } else return;
    event.preventDefault();
    fill(said, `row ${Math.floor(place / width) + 1}, column ${(place % width) + 1}: ${values[place]}`);
  }

  tell();
  return {
    element,
    control,
    value: () => nested([...values], shape),
    empty: () => false,
    clear: emptied,
    set(value) {
      if (!fitsShape(sizes(value), shape) || !isNest(value, shape, (each) => typeof each === "number")) return false;
      values = /** @type {number[]} */ (flat(value));
      draw();
      tell();
      return true;
    },
  };
}
