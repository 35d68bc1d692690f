/**
 * An input with its parts coloured by what they do: a text, cells, or a picture.
 *
 *     section, value, parts with their heat ──▶ element of the input's own shape      data-part: which part a pointer is on
 *
 * Colour is never alone: what raises has a solid line below, what lowers a dashed one, and a part without which the answer
 * is another one is bold and framed. Keyboards and screen readers have the table of the strongest parts.
 */
import { h, svg } from "../../../core/dom.js";
import { number } from "../../../core/numbers.js";
import { flat } from "../../../core/values.js";
import { amount } from "./effect.js";
import { pictureOf } from "./pictures.js";

/** @typedef {import("./effect.js").Effect} Effect */
/** @typedef {import("./effect.js").Reading} Reading */
/** @typedef {import("./plan.js").Section} Section */
/** @typedef {import("./plan.js").Variant} Variant */
/** A variant, its number in the plan, and what it does to the chosen output. @typedef {{ place: number, variant: Variant, effect: Effect, heat: number }} Hot */

/** Below it a part has no line. */
const FAINT = 0.08;
/** Columns of cells that fit beside each other. */
const MOST_COLUMNS = 32;

/**
 * @param {Section} section
 * @param {unknown} value of the input
 * @param {Hot[]} parts of this input
 * @returns {HTMLElement}
 */
export function heatView(section, value, parts) {
  if (section.layout === "text") return textView(String(flat(value)[0]), parts);
  if (section.layout === "picture") return pictureView(section, value, parts);
  return cellsView(section, value, parts);
}

/** @param {string} text @param {Hot[]} parts */
function textView(text, parts) {
  /** @type {(Node | string)[]} */
  const pieces = [];
  let at = 0;
  for (const hot of parts) {
    const [start, end] = hot.variant.part.span ?? [at, at];
    pieces.push(text.slice(at, start), h("span", hotProps("hot word", hot), text.slice(start, end)));
    at = end;
  }
  return h("p", { class: "heat-text", dir: "auto" }, ...pieces, text.slice(at));
}

/**
 * All cells in their grid, where each part is one of them; else a tile for each part.
 * @param {Section} section
 * @param {unknown} value
 * @param {Hot[]} parts
 */
function cellsView({ input, dims }, value, parts) {
  const list = flat(value);
  const single = parts.length > 0 && parts.every(({ variant }) => variant.part.places?.length === 1) && list.length <= 400;
  const byPlace = new Map(single ? parts.map((hot) => [hot.variant.part.places?.[0], hot]) : []);
  const tiles = single
    ? list.map((each, place) => tile(valueText(each), byPlace.get(place)))
    : parts.map((hot) => tile(hot.variant.part.label, hot));
  const columns = single && dims.length > 1 ? dims[dims.length - 1] : 0;
  const grid = columns > 1 && columns <= MOST_COLUMNS;
  const element = h("div", { class: grid ? "heat-cells grid" : "heat-cells", style: grid ? { "--columns": columns } : {} }, tiles);
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `Cells of ${input}, coloured by what they do` }, element);
}

/** @param {string} text @param {Hot | undefined} hot */
function tile(text, hot) {
  return h("span", hot ? hotProps("hot cell", hot) : { class: "cell" }, text);
}

/** @param {unknown} value */
function valueText(value) {
  return typeof value === "number" ? number(value) : String(value);
}

/** @param {Section} section @param {unknown} value @param {Hot[]} parts */
function pictureView({ input, dims }, value, parts) {
  const [height, width, channels] = dims;
  const bytes = value !== null && typeof value === "object" && "b64" in value;
  const href = bytes ? `data:image/png;base64,${value.b64}` : pictureOf(flat(value).map(Number), [height, width, channels]);
  const patches = parts.map((hot) => {
    const { top, left, height: tall, width: wide } = hot.variant.part.box ?? { top: 0, left: 0, height, width };
    return svg("rect", { ...hotProps("hot patch", hot), x: left, y: top, width: wide, height: tall });
  });
  return h(
    "div",
    { class: "heat-picture" },
    svg(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${input}, its patches coloured by what they do; the strongest are in the table below` },
      svg("image", { class: channels === 1 && "ink", href, x: 0, y: 0, width, height, preserveAspectRatio: "none" }),
      patches,
    ),
  );
}

/** @param {string} kind @param {Hot} hot */
function hotProps(kind, { place, effect, heat }) {
  const direction = Math.abs(heat) < FAINT ? "" : heat > 0 ? " more" : " less";
  return { class: `${kind}${direction}${effect.changed ? " other" : ""}`, dataset: { part: place }, style: { "--heat": Math.abs(heat).toFixed(3) } };
}

/**
 * What the colours mean, and how much a full one is.
 * @param {Reading} reading
 * @param {number} scale
 * @param {Effect[]} effects
 */
export function legend(reading, scale, effects) {
  if (reading.kind === "answer" && !reading.chance) {
    return h("p", { class: "heat-legend" }, key("more other", "parts without which the answer is another one"));
  }
  const full = ` Full colour: ${amount(reading, scale)}.`;
  if (reading.kind === "tensor") return h("p", { class: "heat-legend" }, `Colour: ${reading.measure}.`, full);
  return h(
    "p",
    { class: "heat-legend" },
    key("more", `raises ${reading.measure}`),
    " ",
    key("less", "lowers it"),
    effects.some(({ changed }) => changed) && [" ", key("other", "without it the answer is another one")],
    full,
  );
}

/** @param {string} kind @param {string} text */
function key(kind, text) {
  return h("span", { class: "key" }, h("span", { class: `hot word ${kind}`, style: { "--heat": kind === "other" ? 0 : 0.8 } }, "part"), ` ${text}`);
}
