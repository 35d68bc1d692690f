/**
 * What an output is shown as, by what its tensor says and what came. All functions are pure.
 *
 *     signature, prediction ──items──▶ Item: an output, or a text with its chance ──shown──▶ Shown, of one of these kinds
 *
 * Whatever came is shown: what fits no other kind is JSON.
 */
import { pictureType, sizeOf } from "../core/bytes.js";
import { cut } from "../core/cut.js";
import { count, number, percent, quantity, sizeText } from "../core/numbers.js";
import { flat, isNumber, nested, sizes, toNumber } from "../core/values.js";

/** @typedef {import("../core/card.js").Tensor} Tensor */
/** @typedef {import("../core/card.js").Signature} Signature */
/** @typedef {import("../core/service.js").Prediction} Prediction */
/** @typedef {{ label: string, value: number }} Bar */
/**
 * bars: numbers with names, the greatest first, which is the answer; of `total` ones at most MOST_BARS. number, chance, flag, text: one of them. picture: numbers
 * of pixels. strip: numbers in a row. table: numbers in rows and columns. texts: several. bytes: of a file.
 * @typedef {{ kind: "bars", bars: Bar[], total: number, chances: boolean, unit: string }
 *   | { kind: "number", value: number, unit: string }
 *   | { kind: "chance", value: number }
 *   | { kind: "flag", value: boolean }
 *   | { kind: "text", text: string, chance: number | null }
 *   | { kind: "texts", texts: string[] }
 *   | { kind: "bytes", base64: string, size: number, type: string }
 *   | { kind: "picture", height: number, width: number, channels: number, values: number[] }
 *   | { kind: "strip", values: number[], unit: string }
 *   | { kind: "table", rows: number[][], labels: string[], chances: boolean }
 *   | { kind: "json", value: unknown }} Shown
 */
/**
 * A thing that is told: an output, or a text output together with its chance.
 * @typedef {object} Item
 * @property {string} name of the output
 * @property {Tensor} tensor
 * @property {unknown} value
 * @property {string} chance the output that holds the chance of the text; empty for none
 * @property {Shown} shown
 */

/** Bars that are ever shown. */
const MOST_BARS = 1000;
/** Of a picture: what is larger is no picture that a model gives. */
const PICTURE = { least: 4, most: 2048 };
const CHANCE_NAMES = ["_probability", "_chance"];
/** What two calls of the same network may differ by, relatively: they are float32, and may be joined with other rows. */
const ROUNDING = 1e-5;
/** Sums of float32 are not exact. */
const NEAR = 2e-3;

/**
 * What an answer tells, in the order of the signature, then what the signature does not know of.
 * @param {Signature} signature
 * @param {Prediction} prediction
 * @returns {Item[]}
 */
export function items(signature, prediction) {
  const known = signature.outputs.filter((output) => Object.hasOwn(prediction, output.name));
  const names = new Set(known.map((output) => output.name));
  const others = Object.keys(prediction).filter((name) => !names.has(name)).map(unknown);
  const chances = new Map(
    known.flatMap((output) => {
      const chance = CHANCE_NAMES.map((end) => output.name + end).find((name) => names.has(name));
      const fits = chance !== undefined && isText(single(prediction[output.name])) && isChance(toNumber(single(prediction[chance])));
      return fits ? [/** @type {[string, string]} */ ([output.name, chance])] : [];
    }),
  );
  const within = new Set(chances.values());
  return [...known, ...others]
    .filter((tensor) => !within.has(tensor.name))
    .map((tensor) => {
      const value = prediction[tensor.name];
      const chance = chances.get(tensor.name) ?? "";
      const told = shown(tensor, value);
      if (chance && told.kind === "text") told.chance = toNumber(single(prediction[chance]));
      return { name: tensor.name, tensor, value, chance, shown: told };
    });
}

/**
 * The outputs of a signature, where those that hold the chance of a text say so, though no card does.
 * @param {Signature} signature
 * @returns {Tensor[]}
 */
export function outputsWithChances({ outputs }) {
  const chances = new Set(outputs.filter(({ holds }) => holds === "text").flatMap(({ name }) => CHANCE_NAMES.map((end) => name + end)));
  return outputs.map((output) => (chances.has(output.name) && !output.values ? { ...output, values: "0 to 1" } : output));
}

/** @param {string} name @returns {Tensor} */
function unknown(name) {
  return { name, dtype: "", shape: null, meaning: "", unit: "", values: "", labels: [], holds: "other" };
}

/**
 * What one value of an output is shown as.
 * @param {Tensor} tensor
 * @param {unknown} value
 * @returns {Shown}
 */
export function shown(tensor, value) {
  const one = single(value);
  if (typeof one === "boolean") return { kind: "flag", value: one };
  if (isText(one) && !(tensor.holds === "numbers" && isNumber(one))) return { kind: "text", text: one, chance: null };
  if (isBytes(one)) return { kind: "bytes", base64: one.b64, size: sizeOf(one.b64), type: pictureType(one.b64) };
  if (isNumber(one)) return ofNumber(tensor, toNumber(one));
  const shape = regular(value);
  if (shape === null) return { kind: "json", value };
  const all = flat(value);
  if (all.every(isText) && !(tensor.holds === "numbers" && all.every(isNumber)) && shape.length === 1) return { kind: "texts", texts: all };
  if (all.length === 0 || !all.every(isNumber)) return { kind: "json", value };
  return ofNumbers(tensor, shape, all.map(toNumber));
}

/** @param {Tensor} tensor @param {number} value @returns {Shown} */
function ofNumber(tensor, value) {
  if (!saysChance(tensor) || !isChance(value)) return { kind: "number", value, unit: units(tensor.unit).unit };
  const what = namedChance(tensor);
  if (!what) return { kind: "chance", value };
  const bars = greatest([value, Math.max(0, 1 - value)], (place) => (place === 0 ? what : `not ${what}`));
  return { kind: "bars", chances: true, unit: "", bars, total: 2 };
}

/** @param {Tensor} tensor @param {number[]} shape @param {number[]} values @returns {Shown} */
function ofNumbers(tensor, shape, values) {
  const squeezed = shape.filter((each) => each !== 1);
  const unit = units(tensor.unit).unit;
  const chances = areChances(tensor, values);
  if (squeezed.length === 1) {
    const named = tensor.labels.length === values.length;
    if (!named && !(chances && sumsToOne(values))) return { kind: "strip", values, unit };
    const bars = greatest(values, (place) => (named ? tensor.labels[place] : String(place)));
    return { kind: "bars", chances, unit, bars, total: values.length };
  }
  const pixels = shape[0] === 1 && shape.length === 4 ? shape.slice(1) : shape;
  const [height, width, channels] = pixels;
  if (pixels.length === 3 && (channels === 1 || channels === 3) && Math.min(height, width) >= PICTURE.least && Math.max(height, width) <= PICTURE.most) {
    return { kind: "picture", height, width, channels, values };
  }
  if (squeezed.length === 2) {
    const [rows, columns] = squeezed;
    const labels = tensor.labels.length === columns ? tensor.labels : [];
    return { kind: "table", labels, chances: saysChance(tensor) && chances, rows: Array.from({ length: rows }, (_, row) => values.slice(row * columns, (row + 1) * columns)) };
  }
  return { kind: "json", value: nested(values, shape) };
}

/**
 * The greatest numbers with their names, the greatest first; what is no number is less than all.
 * @param {number[]} values
 * @param {(place: number) => string} label
 * @returns {Bar[]}
 */
function greatest(values, label) {
  const keys = Float64Array.from(values, (value) => (Number.isNaN(value) ? -Infinity : value));
  const least = keys.length > MOST_BARS ? keys.slice().sort()[keys.length - MOST_BARS] : -Infinity;
  const places = [];
  for (let place = 0; place < keys.length; place += 1) if (keys[place] >= least) places.push(place);
  places.sort((a, b) => (keys[a] === keys[b] ? a - b : keys[b] - keys[a]));
  return places.slice(0, MOST_BARS).map((place) => ({ label: label(place), value: values[place] }));
}

/**
 * A value in lists of one, without them: [[3]] → 3.
 * @param {unknown} value
 */
export function single(value) {
  let inner = value;
  while (Array.isArray(inner) && inner.length === 1) inner = inner[0];
  return inner;
}

/**
 * The shape of nested lists; null where they are ragged, or too deep for any tensor.
 * @param {unknown} value
 * @returns {number[] | null}
 */
function regular(value) {
  if (!Array.isArray(value)) return null;
  const shape = sizes(value);
  /** @param {unknown} part @param {number} axis @returns {boolean} */
  const fits = (part, axis) =>
    axis === shape.length ? !Array.isArray(part) : Array.isArray(part) && part.length === shape[axis] && part.every((each) => fits(each, axis + 1));
  return shape.length <= 8 && fits(value, 0) ? shape : null;
}

/** @param {unknown} value @returns {value is string} */
function isText(value) {
  return typeof value === "string";
}

/** @param {unknown} value @returns {value is { b64: string }} */
function isBytes(value) {
  return typeof value === "object" && value !== null && typeof (/** @type {any} */ (value).b64) === "string" && Object.keys(value).length === 1;
}

/** @param {number} value */
function isChance(value) {
  return value >= 0 && value <= 1 + NEAR;
}

/**
 * Whether the card says that numbers are chances.
 * @param {Tensor} tensor
 */
function saysChance({ values, meaning }) {
  return /^\s*(0 to 1|0[–-]1)\b/.test(values) || /\b(chance|probabilit)/i.test(meaning);
}

/** @param {Tensor} tensor @param {number[]} values */
function areChances(tensor, values) {
  return values.every(isChance) && (saysChance(tensor) || sumsToOne(values));
}

/** @param {number[]} values */
function sumsToOne(values) {
  return values.length > 1 && values.every(isChance) && Math.abs(values.reduce((sum, each) => sum + each, 0) - 1) < NEAR;
}

/**
 * What the chance of a binary output is of, where its card says it in quotes: the chance of 'male'.
 * @param {Tensor} tensor
 */
function namedChance({ meaning }) {
  return /(?:chance|probability) of ['"‘“]([^'"’”]{1,60})['"’”]/i.exec(meaning)?.[1] ?? "";
}

/**
 * A unit that fits behind a number, and all that the card says of it where that is more: "metres, for cameras 0.1 m apart".
 * @param {string} said
 */
export function units(said) {
  const [first, ...rest] = said.split(/[,;(]/);
  const unit = first.trim();
  if (unit.length > 24 || /\b(of|the|that|any|same|as)\b/.test(unit)) return { unit: "", more: said };
  return { unit, more: rest.length ? said : "" };
}

/**
 * One output in one line.
 * @param {Tensor} tensor
 * @param {unknown} value
 */
export function headline(tensor, value) {
  return words(shown(tensor, value));
}

/**
 * A whole answer in one line, for who hears it: of a lone output without its name.
 * @param {Signature} signature
 * @param {Prediction} prediction
 */
export function brief(signature, prediction) {
  const told = items(signature, prediction);
  const said = told.map((item) => (told.length > 1 ? `${item.name}: ${words(item.shown)}` : words(item.shown))).join("; ");
  return cut(said, 300);
}

/**
 * What is told of an output in words: the answer first.
 * @param {Shown} told
 * @returns {string}
 */
export function words(told) {
  switch (told.kind) {
    case "bars":
      return `${cut(told.bars[0].label, 120)} · ${told.chances ? percent(told.bars[0].value) : quantity(told.bars[0].value, told.unit)}`;
    case "number":
      return quantity(told.value, told.unit);
    case "chance":
      return percent(told.value);
    case "flag":
      return told.value ? "yes" : "no";
    case "text":
      return `${told.text === "" ? "(an empty text)" : cut(told.text, 200)}${told.chance === null ? "" : ` · ${percent(told.chance)}`}`;
    case "texts":
      return cut(told.texts.slice(0, 20).join(" · "), 200) || "no texts";
    case "bytes":
      return `${told.type ? `a ${told.type.slice("image/".length).toUpperCase()} picture, ` : ""}${sizeText(told.size)}`;
    case "picture":
      return `a picture of ${told.width} × ${told.height} pixels`;
    case "strip":
      return told.values.length <= 6 ? told.values.map((each) => number(each)).join(" · ") + (told.unit && ` ${told.unit}`) : `${count(told.values.length, "number")}, ${spread(told.values)}`;
    case "table":
      return `${told.rows.length} × ${told.rows[0]?.length ?? 0} numbers`;
    case "json":
      return jsonHead(told.value, 120).text;
  }
}

/**
 * The least and the greatest of many numbers.
 * @param {number[]} values
 */
export function spread(values) {
  const [least, greatest] = extent(values);
  return least > greatest ? "none of them finite" : `${number(least)} to ${number(greatest)}`;
}

/**
 * The least and the greatest finite number.
 * @param {number[]} values
 */
export function extent(values) {
  let least = Infinity;
  let greatest = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  return [least, greatest];
}

/**
 * The JSON of a value up to about so many characters: what is behind them is not looked at.
 * @param {unknown} value
 * @param {number} most
 * @returns {{ text: string, whole: boolean }}
 */
export function jsonHead(value, most) {
  /** @type {string[]} */
  const parts = [];
  let left = most;
  /** @param {string} text */
  function put(text) {
    parts.push(text.slice(0, Math.max(0, left)));
    left -= text.length;
    return left > 0;
  }
  /** @param {unknown} inner @param {number} depth @returns {boolean} */
  function write(inner, depth) {
    if (depth > 64) return put("…");
    if (typeof inner === "string") return put(JSON.stringify(inner.slice(0, most)));
    if (Array.isArray(inner)) {
      if (!put("[")) return false;
      for (const [place, each] of inner.entries()) if ((place > 0 && !put(", ")) || !write(each, depth + 1)) return false;
      return put("]");
    }
    if (inner !== null && typeof inner === "object") {
      if (!put("{")) return false;
      let first = true;
      for (const [key, each] of Object.entries(inner)) {
        if (!put(`${first ? "" : ", "}${JSON.stringify(key)}: `) || !write(each, depth + 1)) return false;
        first = false;
      }
      return put("}");
    }
    return put(String(JSON.stringify(inner)));
  }
  write(value, 0);
  const whole = left >= 0;
  return { text: parts.join("") + (whole ? "" : "…"), whole };
}

/**
 * Whether two outputs say the same, as far as float32 can.
 * @param {unknown} a
 * @param {unknown} b
 * @returns {boolean}
 */
export function same(a, b) {
  if (isNumber(a) && isNumber(b)) {
    const [x, y] = [toNumber(a), toNumber(b)];
    return Object.is(x, y) || x === y || Math.abs(x - y) <= ROUNDING * Math.max(Math.abs(x), Math.abs(y), ROUNDING);
  }
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((each, place) => same(each, b[place]));
  if (isBytes(a) && isBytes(b)) return a.b64 === b.b64;
  return a === b || (typeof a === "object" && typeof b === "object" && jsonHead(a, 1e5).text === jsonHead(b, 1e5).text);
}
