/**
 * An answer as people read it: each output by name, what it says in words first, then bars, numbers or a picture.
 *
 *     signature, prediction ──items──▶ what each is shown as ──▶ <dl>; numbers stand in the text, bars beside them are not read out
 */
import { ending } from "../core/bytes.js";
import { cut } from "../core/cut.js";
import { fill, h } from "../core/dom.js";
import { count, number, percent, points, quantity, sizeText } from "../core/numbers.js";
import { prose } from "../core/prose.js";
import { bytesOf, saveButton } from "../core/save.js";
import { canvas } from "./pixels.js";
import { extent, items, jsonHead, same, spread, units, words } from "./shown.js";

export { brief } from "./shown.js";

/** @typedef {import("./shown.js").Item} Item */
/** @typedef {import("./shown.js").Shown} Shown */
/** @template {Shown["kind"]} Kind @typedef {Extract<Shown, { kind: Kind }>} Of */

const FIRST_BARS = 10;
const FIRST_NUMBERS = 64;
const MOST_NUMBERS = 2000;
const MOST_CELLS = { rows: 40, columns: 40 };
const FIRST_JSON = 2000;
const MOST_JSON = 200_000;
const LARGEST_PICTURE = 8e6;

/**
 * @param {import("../core/card.js").Signature} signature
 * @param {import("../core/service.js").Prediction} prediction
 * @param {{ before?: import("../core/service.js").Prediction }} [options] before: another answer, from which differences are marked
 * @returns {HTMLElement}
 */
export function answerView(signature, prediction, { before } = {}) {
  const told = items(signature, prediction);
  const earlier = new Map(before ? items(signature, before).map((item) => [item.name, item]) : []);
  const missing = signature.outputs.map((output) => output.name).filter((name) => !Object.hasOwn(prediction, name));
  return h(
    "div",
    { class: "answer-view" },
    told.length > 0 && h("dl", { class: "answer" }, told.map((item) => output(item, before ? (earlier.get(item.name) ?? null) : undefined))),
    told.length === 0 && h("p", {}, "The answer has no outputs."),
    missing.length > 0 && h("p", { class: "hint" }, `Not in the answer, as JSON cannot carry it or it was not asked for: ${cut(missing.join(", "), 500)}`),
  );
}

/**
 * @param {Item} item
 * @param {Item | null | undefined} before null: the other answer lacks it; undefined: there is no other
 */
function output(item, before) {
  const { tensor } = item;
  const { more } = units(tensor.unit);
  const meaning = tensor.meaning.toLowerCase() === item.name.toLowerCase() ? "" : tensor.meaning;
  const hint = [meaning, more && item.shown.kind !== "json" && `in ${more}`].filter(Boolean).join(", ");
  return h(
    "div",
    { class: `output shown-${item.shown.kind}`, dataset: { output: item.name } },
    h("dt", {}, item.name, hint && h("span", { class: "hint" }, prose(hint))),
    h("dd", {}, item.shown.kind !== "json" && item.shown.kind !== "table" && h("p", { class: "headline", dir: "auto" }, words(item.shown)), before !== undefined && difference(item, before), body(item.shown, before?.shown)),
  );
}

/**
 * What has changed, in words.
 * @param {Item} item
 * @param {Item | null} before
 */
function difference(item, before) {
  if (before === null) return h("p", { class: "difference changed" }, "Changed: the other answer lacks it");
  const alike = same(item.value, before.value) && chancesAlike(item.shown, before.shown);
  return h("p", { class: alike ? "difference hint" : "difference changed" }, alike ? "The same in both" : changeInWords(item.shown, before.shown));
}

/** @param {Shown} now @param {Shown} before */
function chancesAlike(now, before) {
  return now.kind !== "text" || before.kind !== "text" || same(now.chance, before.chance);
}

/**
 * @param {Shown} now
 * @param {Shown} before
 * @returns {string}
 */
export function changeInWords(now, before) {
  if (now.kind === "number" && before.kind === "number") return step(now.value, before.value, (value) => quantity(value, now.unit), number);
  if (now.kind === "chance" && before.kind === "chance") return step(now.value, before.value, percent, points);
  if (now.kind === "text" && before.kind === "text" && now.text === before.text && now.chance !== null && before.chance !== null) {
    return `The same answer; its chance ${step(now.chance, before.chance, percent, points)}`;
  }
  if (now.kind === "bars" && before.kind === "bars" && now.bars[0].label === before.bars[0].label) {
    const [{ value }, { value: was }] = [now.bars[0], before.bars[0]];
    return `The same answer; ${now.chances ? step(value, was, percent, points) : step(value, was, (each) => quantity(each, now.unit), number)}`;
  }
  return `Changed: before ${words(before)}`;
}

/**
 * @param {number} now
 * @param {number} before
 * @param {(value: number) => string} text of a value
 * @param {(value: number) => string} apart of how far two are apart
 */
function step(now, before, text, apart) {
  if (same(now, before)) return `${text(now)} as before, other numbers differ`;
  const by = now - before;
  if (!Number.isFinite(by)) return `Changed: before ${text(before)}`;
  return `${by < 0 ? "▼ less" : "▲ more"} by ${apart(Math.abs(by))}: before ${text(before)}`;
}

/**
 * What stands below the words.
 * @param {Shown} told
 * @param {Shown} [before]
 */
function body(told, before) {
  switch (told.kind) {
    case "bars":
      return bars(told, before?.kind === "bars" ? before : undefined);
    case "chance":
      return track(told.value, before?.kind === "chance" ? before.value : undefined);
    case "text":
      return told.chance === null
        ? told.text.length > 200 && longText(told.text)
        : track(told.chance, before?.kind === "text" && before.text === told.text ? (before.chance ?? undefined) : undefined);
    case "texts":
      return h("ol", { class: "texts" }, told.texts.slice(0, 50).map((text) => h("li", { dir: "auto" }, cut(text, 300))), told.texts.length > 50 && h("li", { class: "hint" }, `${count(told.texts.length - 50, "more text")}: in the raw answer`));
    case "bytes":
      return bytes(told);
    case "picture":
      return canvas(told, words(told));
    case "strip":
      return strip(told);
    case "table":
      return table(told);
    case "json":
      return json(told.value);
    default:
      return null;
  }
}

/**
 * A lone bar, whose number stands above it.
 * @param {number} chance
 * @param {number} [before]
 */
function track(chance, before) {
  return h("div", { class: "track", "aria-hidden": "true" }, bar(chance, "now"), before !== undefined && bar(before, "before"));
}

/** @param {number} share 0 to 1 @param {string} kind */
function bar(share, kind) {
  const width = `${(Math.min(1, Math.max(0, share)) * 100).toFixed(2)}%`;
  return h("span", { class: `bar ${kind}`, style: { width } });
}

/**
 * @param {Of<"bars">} told
 * @param {Of<"bars">} [before]
 */
function bars(told, before) {
  const [least, greatest] = extent([...told.bars, ...(before?.bars ?? [])].map((each) => each.value));
  const scale = told.chances ? 1 : Math.max(Math.abs(least), Math.abs(greatest)) || 1;
  const earlier = new Map(before?.bars.map((each) => [each.label, each.value]));
  const text = (/** @type {number} */ value) => (told.chances ? percent(value) : number(value));
  /** @param {import("./shown.js").Bar} each @param {number} place */
  function row({ label, value }, place) {
    const was = earlier.get(label);
    const share = Number.isFinite(value) ? Math.abs(value) / scale : 0;
    return h(
      "tr",
      { class: place === 0 && "first" },
      h("th", { scope: "row" }, h("bdi", {}, cut(label, 120))),
      h("td", { class: "bar-cell", "aria-hidden": "true" }, h("div", { class: value < 0 ? "track negative" : "track" }, bar(share, "now"), was !== undefined && bar(Math.abs(was) / scale, "before"))),
      h("td", { class: "number" }, text(value)),
      before && h("td", { class: "number was" }, was === undefined ? "" : same(was, value) ? "same" : `was ${text(was)}`),
    );
  }
  const rows = h("tbody", {}, told.bars.slice(0, FIRST_BARS).map(row));
  const rest = told.bars.length - FIRST_BARS;
  const beyond = told.total - told.bars.length;
  const place = h("div", { class: "more" });
  const more = h("button", { type: "button", class: "quiet", onclick: open }, `${rest.toLocaleString("en")} more`);

  function open() {
    extend(rows, told.bars.slice(FIRST_BARS).map((each, index) => row(each, index + FIRST_BARS)));
    fill(place, beyond > 0 && h("p", { class: "hint" }, `and ${beyond.toLocaleString("en")} less than these: in the raw answer`));
  }

  if (rest > 0) fill(place, more);
  const short = told.bars.slice(0, FIRST_BARS).every((each) => each.label.length <= 6);
  return h("div", {}, h("table", { class: short ? "bars short" : "bars" }, rows), rest > 0 && place);
}

/**
 * Adds what a button gives that then goes: the focus, which it had, is on the first of it.
 * @param {HTMLElement} list
 * @param {HTMLElement[]} more
 */
function extend(list, more) {
  list.append(...more);
  more[0].tabIndex = -1;
  more[0].focus({ preventScroll: true });
}

/** @param {string} text */
function longText(text) {
  return h("pre", { class: "long-text", dir: "auto", tabindex: "0", "aria-label": "The whole text" }, cut(text, MOST_JSON));
}

/** @param {Of<"bytes">} told */
function bytes(told) {
  const shows = told.type && told.size <= LARGEST_PICTURE;
  const name = `answer.${ending(told.base64)}`;
  return h(
    "div",
    {},
    shows && h("img", { class: "picture", src: `data:${told.type};base64,${told.base64}`, alt: words(told) }),
    h("p", { class: "actions" }, saveButton(name, () => bytesOf(told.base64), `Save ${name} (${sizeText(told.size)})`)),
  );
}

/** @param {Of<"strip">} told */
function strip({ values, unit }) {
  if (values.length <= 6) return null; // the words say them all
  const list = h("ol", { class: "numbers", start: "0" }, values.slice(0, FIRST_NUMBERS).map((value) => h("li", {}, number(value))));
  const rest = Math.min(values.length, MOST_NUMBERS) - FIRST_NUMBERS;
  const place = h("div", { class: "more" });

  function open() {
    extend(list, values.slice(FIRST_NUMBERS, MOST_NUMBERS).map((value) => h("li", {}, number(value))));
    fill(place, values.length > MOST_NUMBERS && h("p", { class: "hint" }, `and ${(values.length - MOST_NUMBERS).toLocaleString("en")} more: in the raw answer`));
  }

  if (rest > 0) fill(place, h("button", { type: "button", class: "quiet", onclick: open }, `${rest.toLocaleString("en")} more`));
  return h("div", {}, columns(values), h("details", {}, h("summary", {}, `The numbers${unit && `, in ${unit}`}`), list, place));
}

/**
 * Many numbers as a row of columns up and down from zero; of very many the one of each part that is farthest from zero.
 * @param {number[]} values
 */
function columns(values) {
  const most = 128;
  const step = Math.max(1, values.length / most);
  const [least, greatest] = extent(values);
  const far = Math.max(Math.abs(least), Math.abs(greatest)) || 1;
  const heights = [];
  for (let at = 0; Math.floor(at) < values.length && heights.length < most; at += step) {
    let chosen = 0;
    for (let place = Math.floor(at); place < Math.min(values.length, Math.floor(at + step)); place += 1) {
      const value = values[place];
      if (Number.isFinite(value) && Math.abs(value) > Math.abs(chosen)) chosen = value;
    }
    heights.push(chosen / far);
  }
  const bars = heights.map((height) => h("span", { class: height < 0 ? "column negative" : "column", style: { "--height": `${(Math.abs(height) * 100).toFixed(1)}%` } }));
  return h("div", { class: least < 0 ? "columns-strip signed" : "columns-strip", "aria-hidden": "true" }, bars);
}

/** @param {Of<"table">} told */
function table({ rows, labels, chances }) {
  const [width, height] = [rows[0].length, rows.length];
  const shown = rows.slice(0, MOST_CELLS.rows).map((row) => row.slice(0, MOST_CELLS.columns));
  const [least, greatest] = chances ? [0, 1] : extent(shown.flat());
  const far = Math.max(Math.abs(least), Math.abs(greatest)) || 1;
  const head = labels.length ? labels.slice(0, MOST_CELLS.columns) : shown[0].map((_, column) => String(column));
  const cut_ = height > shown.length || width > shown[0].length;
  /** @param {number} value */
  function cell(value) {
    const share = Number.isFinite(value) ? Math.round((Math.abs(value) / far) * 55) : 0;
    return h("td", { class: value < 0 ? "number negative" : "number", style: { "--share": `${share}%` } }, chances ? percent(value) : number(value));
  }
  return h(
    "div",
    {},
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "group", "aria-label": `${height} rows of ${width} numbers` },
      h(
        "table",
        { class: "heat" },
        h("thead", {}, h("tr", {}, h("td"), head.map((name) => h("th", { scope: "col" }, h("bdi", {}, cut(name, 60)))))),
        h("tbody", {}, shown.map((row, place) => h("tr", {}, h("th", { scope: "row" }, place), row.map(cell)))),
      ),
    ),
    cut_ && h("p", { class: "hint" }, `The first ${shown.length} of ${count(height, "row")} and ${shown[0].length} of ${count(width, "column")}, ${spread(rows.flat())} in all: the rest is in the raw answer`),
  );
}

/** @param {unknown} value */
function json(value) {
  const first = jsonHead(value, FIRST_JSON);
  const place = h("pre", { class: "json", tabindex: "0", "aria-label": "The value, as JSON" }, first.text);
  if (first.whole) return place;
  const end = h("div", { class: "more" });

  function open() {
    const more = jsonHead(value, MOST_JSON);
    fill(place, more.text);
    place.focus({ preventScroll: true }); // the button goes, which had it
    fill(end, !more.whole && h("p", { class: "hint" }, "The rest is in the raw answer"));
  }

  fill(end, h("button", { type: "button", class: "quiet", onclick: open }, "Show all"));
  return h("div", {}, place, end);
}
