/**
 * What changes the answer, below it: asked for at a click, and again with each answer while it is open.
 *
 *     row, examples ──plan──▶ variants ──run──▶ predictions ──effect──▶ heat over each input, the strongest parts, inputs × outputs
 */
import { update } from "../../../core/address.js";
import { fill, h, uniqueId } from "../../../core/dom.js";
import { count, duration } from "../../../core/numbers.js";
import { ServiceError } from "../../../core/service.js";
import { kindOf } from "../../../core/values.js";
import * as effects from "./effect.js";
import { heatView, legend } from "./heat.js";
import { matrixView } from "./matrix.js";
import { blanked, PictureError } from "./pictures.js";
import { plan } from "./plan.js";
import { run } from "./run.js";

/** @typedef {import("../../../core/card.js").Row} Row */
/** @typedef {import("../../view.js").Context} Context */
/** @typedef {import("./plan.js").Plan} Plan */
/** @typedef {import("./run.js").Result} Result */
/** @typedef {(row: Row) => void} Edit puts a row into the form and asks */

const OPEN = { influence: "open" };
/** Parts in the table, until all are asked for. */
const STRONGEST = 6;

const SAYS =
  "Leaves out or replaces one part at a time and asks again: this shows what this one answer hangs on, not how the model thinks. " +
  "Parts that can replace each other show as nothing, for the other one is still there.";

/**
 * @param {Context} context
 * @param {Row} row
 * @param {import("../../../core/service.js").Answer} answer
 * @param {AbortSignal} signal
 * @param {Edit} [edit] for parts to be left out in the form
 * @returns {HTMLElement}
 */
export function panel(context, row, answer, signal, edit) {
  const title = uniqueId("influence");
  const body = h("div", { class: "influence-body" });
  const status = h("p", { class: "hint", role: "status" });
  const progress = h("p", { class: "hint" }); // not read out: it changes with each row
  const toggle = h("button", { type: "button", "aria-expanded": "false", onclick: () => (stop ? close() : void open()) }, "See what changes it");
  /** @type {AbortController | null} */
  let stop = null;

  async function open() {
    stop = new AbortController();
    const both = AbortSignal.any([signal, stop.signal]);
    update(context.address, OPEN);
    toggle.setAttribute("aria-expanded", "true");
    fill(toggle, "Cancel");
    try {
      await ask(context, row, answer, both, { body, status, progress }, edit);
    } catch (error) {
      if (both.aborted) return;
      if (!(error instanceof ServiceError)) throw error;
      fill(progress);
      fill(status);
      fill(body, h("p", { class: "error", role: "alert" }, error.message));
    }
    fill(toggle, "Hide");
  }

  function close() {
    stop?.abort();
    stop = null;
    update(context.address, { influence: "" });
    toggle.setAttribute("aria-expanded", "false");
    fill(toggle, "See what changes it");
    fill(body);
    fill(progress);
    fill(status);
  }

  if (context.address.query.get("influence") === OPEN.influence) void open();
  return h(
    "section",
    { class: "panel influence", "aria-labelledby": title },
    h("h2", { id: title }, "What changes the answer"),
    h("p", { class: "hint" }, SAYS),
    h("p", { class: "actions" }, toggle),
    progress,
    status,
    body,
  );
}

/**
 * @param {Context} context
 * @param {Row} row
 * @param {import("../../../core/service.js").Answer} answer to it
 * @param {AbortSignal} signal
 * @param {{ body: HTMLElement, status: HTMLElement, progress: HTMLElement }} place
 * @param {Edit} [edit]
 */
async function ask(context, row, answer, signal, { body, status, progress }, edit) {
  const { card, signature, version } = context;
  const examples = await known(context, signal);
  signal.throwIfAborted(); // the examples are the whole view's: waiting for them does not end here
  const pictures = signature.inputs.filter((tensor) => kindOf(tensor, signature.in_rows) === "picture" && Object.hasOwn(row, tensor.name));
  /** @type {string[]} */
  const problems = [];
  const taken = new Map();
  for (const { name } of pictures) {
    try {
      const part = await blanked(row[name], 1 / pictures.length ** 2, signal, (done, of) => fill(progress, `Blanking ${name}: ${done} of ${of}`));
      taken.set(name, part);
    } catch (error) {
      if (!(error instanceof PictureError)) throw error;
      problems.push(`${name} is not taken apart: ${error.message}.`);
    }
  }
  const told = { readings: effects.readings(signature, answer.predictions[0]).length, bytes: answer.text.length };
  const planned = plan(signature, row, examples, taken, told);
  if (!planned.variants.length) {
    fill(progress);
    fill(status, "There is nothing in this row that can be left out or replaced alone. ", problems.join(" "));
    return;
  }
  const rows = [planned.base, ...planned.variants.map((variant) => variant.row)];
  const result = await run({ model: card.name, version, signature }, rows, signal, (done, of) => fill(progress, `${done} of ${count(of, "row")}`));
  fill(progress);
  fill(status, cost(rows.length, result, signature), problems.length ? ` ${problems.join(" ")}` : "", result.note && ` ${result.note}`);
  fill(body, resultView(signature, planned, result, edit));
}

/**
 * Rows to take values from; without any, fewer parts have something to be replaced by.
 * @param {Context} context
 * @param {AbortSignal} signal
 */
async function known(context, signal) {
  try {
    return (await context.examples()).rows;
  } catch (error) {
    if (signal.aborted || !(error instanceof ServiceError)) throw error;
    return []; // the form says why there are none
  }
}

/** @param {number} rows @param {Result} result @param {import("../../../core/card.js").Signature} signature */
function cost(rows, { requests, ms }, { in_rows, independent, why }) {
  const alone = in_rows && independent ? "" : `, each alone: ${in_rows ? `rows may change each other's answers (${why || "it is not known that they do not"})` : "the signature does not take rows"}`;
  return `${count(rows, "row")} in ${count(requests, "request")}, ${duration(ms)}${alone}.`;
}

/**
 * @param {import("../../../core/card.js").Signature} signature
 * @param {Plan} planned
 * @param {Result} result
 * @param {Edit} [edit]
 */
function resultView(signature, planned, { predictions: [first, ...others] }, edit) {
  const base = /** @type {import("../../../core/service.js").Prediction} */ (first);
  const readings = effects.readings(signature, base);
  const all = planned.variants.map((variant, place) => ({
    place,
    variant,
    effects: readings.map((reading) => effects.effect(reading, base, others[place])),
  }));
  const parts = all.filter(({ variant }) => variant.part.kind !== "whole");
  const wholes = all.filter(({ variant }) => variant.part.kind === "whole");
  const heat = h("div", { class: "influence-heat" });
  const choices = readings.map((reading, column) =>
    h("button", { type: "button", "aria-pressed": "false", onclick: () => choose(column) }, reading.name),
  );

  /** @param {number} column */
  function choose(column) {
    choices.forEach((choice, place) => choice.setAttribute("aria-pressed", String(place === column)));
    const reading = readings[column];
    const scale = effects.scaleOf(reading, base, parts.map((part) => part.effects[column]));
    const hot = parts.map((part) => {
      const effect = part.effects[column];
      return { place: part.place, variant: part.variant, effect, heat: effects.heat(effect, scale) };
    });
    fill(heat, heats(planned, reading, scale, hot, edit));
  }

  if (parts.length) choose(0);
  return h(
    "div",
    {},
    parts.length > 0 && choices.length > 1 && h("div", { class: "influence-outputs", role: "group", "aria-label": "Output" }, h("span", {}, "Output"), choices),
    heat,
    wholes.length > 0 && matrixView(readings, wholes),
  );
}

/**
 * The inputs in colour, and the strongest parts in words.
 * @param {Plan} planned
 * @param {effects.Reading} reading
 * @param {number} scale
 * @param {import("./heat.js").Hot[]} hot
 * @param {Edit} [edit]
 */
function heats(planned, reading, scale, hot, edit) {
  const detail = h("p", { class: "influence-detail" }, "Point at a part, or click on it.");
  /** @type {Element | null} */
  let chosen = null;

  /** @param {Event} event @param {boolean} keep */
  function point(event, keep) {
    const at = /** @type {Element} */ (event.target).closest("[data-part]");
    const found = at && hot.find(({ place }) => String(place) === at.getAttribute("data-part"));
    if (!found || (chosen && !keep)) return;
    if (keep) {
      chosen?.classList.remove("chosen");
      chosen = at;
      at.classList.add("chosen");
    }
    fill(detail, said(found), " ", keep && edit && take(found, edit));
  }

  const inputs = planned.sections.map((section) => {
    const own = hot.filter(({ variant }) => variant.input === section.input);
    return [h("h3", {}, section.input), h("p", { class: "hint" }, section.how), heatView(section, planned.base[section.input], own)];
  });
  const view = h("div", { onpointerover: (/** @type {Event} */ event) => point(event, false), onclick: (/** @type {Event} */ event) => point(event, true) }, inputs.flat());
  return [legend(reading, scale, hot.map(({ effect }) => effect)), view, detail, ...strongest(reading, hot, planned.sections.length > 1, edit)];
}

/** @param {import("./heat.js").Hot} hot */
function said({ variant, effect }) {
  return `${variant.part.lead}${variant.part.kind === "value" ? "" : ` in ${variant.input}`}, ${effect.words}.`;
}

/** @param {import("./heat.js").Hot} hot @param {Edit} edit */
function take({ variant }, edit) {
  const what = { words: "Leave it out", patch: "Blank it", cells: "Replace it", value: "Replace it", whole: "Replace it" }[variant.part.kind];
  return h("button", { type: "button", class: "small", "aria-label": `${what}: ${variant.part.lead}`, onclick: () => edit(variant.row) }, what);
}

/**
 * @param {effects.Reading} reading
 * @param {import("./heat.js").Hot[]} hot
 * @param {boolean} several inputs
 * @param {Edit} [edit]
 */
function strongest(reading, hot, several, edit) {
  const sorted = hot.filter(({ effect }) => effect.delta !== 0).sort((a, b) => effects.strength(b.effect) - effects.strength(a.effect));
  if (!sorted.length) return [h("p", {}, `No part alone changes ${reading.name}.`)];
  const row = (/** @type {import("./heat.js").Hot} */ each) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, each.variant.part.label, several && h("span", { class: "hint" }, ` in ${each.variant.input}`)),
      h("td", {}, each.effect.words),
      edit && h("td", {}, take(each, edit)),
    );
  const rows = h("tbody", {}, sorted.slice(0, STRONGEST).map(row));
  const all = h("button", { type: "button", onclick: showAll }, `Show all ${sorted.length}`);
  const unchanged = hot.length - sorted.length;

  function showAll() {
    const more = sorted.slice(STRONGEST).map(row);
    rows.append(...more);
    all.remove();
    more[0].tabIndex = -1; // the button is gone: the keyboard goes on here
    more[0].focus();
  }

  return [
    h("h3", {}, "The strongest parts"),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "group", "aria-label": "The strongest parts" },
      h(
        "table",
        { class: "influence-parts" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Part"), h("th", { scope: "col" }, "Without it"), edit && h("th", { scope: "col" }, "In the form"))),
        rows,
      ),
    ),
    sorted.length > STRONGEST && h("p", { class: "actions" }, all),
    unchanged > 0 && h("p", { class: "hint" }, `${count(unchanged, "part")} without any effect.`),
  ];
}
